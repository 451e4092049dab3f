"""The models that clients may name."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from router.api import Model, NoSuchModel


class Catalog:
    """Public model names and what stands behind them; a frozen snapshot."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {model.name: model for model in models}

    def __repr__(self) -> str:
        return f"<Catalog {', '.join(self._models)}>"

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def visible(self, allowed: Container[str] | None) -> Iterator[Model]:
        """Those of the names allowed; None allows all."""
        return (model for model in self if allowed is None or model.name in allowed)

    def find(self, name: str, allowed: Container[str] | None = None) -> Model:
        """Raises NoSuchModel, also for one that is there but not allowed: who may not have it learns nothing."""
        if allowed is not None and name not in allowed:
            raise NoSuchModel
        try:
            return self._models[name]
        except KeyError:
            raise NoSuchModel from None

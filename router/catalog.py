"""The models that clients may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from router.api import Model, NoSuchModel


class Catalog:
    """Public model names and what stands behind them; a frozen snapshot."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {model.name: model for model in models}

    def __repr__(self) -> str:
        return f"<Catalog {', '.join(self._models)}>"

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def find(self, name: str) -> Model:
        """Raises NoSuchModel."""
        try:
            return self._models[name]
        except KeyError:
            raise NoSuchModel from None

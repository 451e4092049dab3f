"""The models that clients may name: a frozen snapshot, swapped whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from router.api import NoSuchModel, NotPermitted
from router.model import Model

STEER: Final = "routing"
"""The scope of who may say where a request goes."""


class Asker(Protocol):
    """Who asks. `models` None: any of them."""

    @property
    def tenant(self) -> str: ...
    @property
    def models(self) -> frozenset[str] | None: ...
    @property
    def scopes(self) -> frozenset[str]: ...


class Snapshot:
    """Models, and the other names by which they may be called. A request sees one of these, whole, or the next."""

    def __init__(self, models: Iterable[Model], aliases: Mapping[str, str] = MappingProxyType({})) -> None:
        self.models = {model.name: model for model in models}
        self.names = self.models | {alias: self.models[name] for alias, name in aliases.items()}
        self.pins = {
            f"{name}@{version}": model.pinned(version)
            for name, model in self.names.items()
            for version in model.versions
        }

    def __repr__(self) -> str:
        return f"<Snapshot {', '.join(self.names)}>"


class Catalog:
    """The snapshot that holds now; what it gives out is frozen."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.number = 1
        """Rises with each snapshot."""

    def __repr__(self) -> str:
        return f"<Catalog {self.number}: {', '.join(self.snapshot.names)}>"

    def __iter__(self) -> Iterator[Model]:
        return iter(self.snapshot.models.values())

    def swap(self, snapshot: Snapshot) -> None:
        """Requests that are under way keep what they were given."""
        self.snapshot = snapshot
        self.number += 1

    def visible(self, asker: Asker) -> Iterator[tuple[str, Model]]:
        """Every name that the asker may use for a model, without pins."""
        return ((name, model) for name, model in self.snapshot.names.items() if _may_see(model, asker))

    def seen_by(self, asker: Asker) -> Sequence[Model]:
        """Every model that the asker may use, whatever its names."""
        return [model for model in self.snapshot.models.values() if _may_see(model, asker)]

    def find(self, name: str, asker: Asker) -> Model:
        """Raises NoSuchModel, also for one that is there but not allowed: who may not have it learns nothing.

        `name@version` is the model with that version alone; raises NotPermitted for who may not choose, whatever the
        version: which there are is not theirs to know.
        """
        model = self.snapshot.names.get(name)
        if model is None:
            return self._pinned(name, asker)
        if not _may_see(model, asker):
            raise NoSuchModel
        return model

    def _pinned(self, name: str, asker: Asker) -> Model:
        model = self.snapshot.names.get(name.rpartition("@")[0])
        if model is None or not _may_see(model, asker):
            raise NoSuchModel
        if STEER not in asker.scopes:
            raise NotPermitted
        if name not in self.snapshot.pins:
            raise NoSuchModel
        return self.snapshot.pins[name]


def _may_see(model: Model, asker: Asker) -> bool:
    return (asker.models is None or model.name in asker.models) and (
        model.tenants is None or asker.tenant in model.tenants
    )

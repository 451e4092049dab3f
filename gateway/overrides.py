"""What was set over the admin API about versions, which holds over the configuration's file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.config import ModelSpec


@dataclass(slots=True, frozen=True)
class Overrides:
    """By model. `weights`: of its versions; one left out weighs nothing. `drained`: its versions without new work.

    The file says what there is: of a model or version that it has not, nothing here holds.
    """

    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    drained: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def weights_of(self, model: str, specs: Sequence[ModelSpec]) -> Mapping[str, float] | None:
        """By each of the model's versions, which `specs` are; None: what the file says holds."""
        given = self.weights.get(model)
        if given is None or not any(given.values()) or not given.keys() <= {spec.version for spec in specs}:
            return None
        return {spec.version: given.get(spec.version, 0.0) for spec in specs}

    def shares(self, model: str, specs: Sequence[ModelSpec]) -> Mapping[str, float]:
        """What each version weighs when one is chosen: those that are drained nothing, while others are left."""
        weights = self.weights_of(model, specs) or {spec.version: spec.weight for spec in specs}
        drained = self.drained.get(model, frozenset())
        left = {version: 0.0 if version in drained else weight for version, weight in weights.items()}
        return left if any(left.values()) else weights

    def is_drained(self, spec: ModelSpec) -> bool:
        return spec.version in self.drained.get(spec.name, ())

    def misfits(self, specs: Sequence[ModelSpec]) -> Iterator[tuple[str, str]]:
        """Those that don't hold, each as kind and model: they speak of versions that the file has not."""
        versions: dict[str, set[str]] = {}
        for spec in specs:
            versions.setdefault(spec.name, set()).add(spec.version)
        for kind, given in (("weights", self.weights), ("drained", self.drained)):
            for model, named in given.items():
                if not set(named) <= versions.get(model, set()):
                    yield kind, model

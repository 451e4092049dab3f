"""Makes a replica of each entry of the configuration, and finds those again that have not changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from pydantic import BaseModel

from engines import ENGINES
from engines.api import Surroundings
from gateway.config import ModelSpec
from router.api import Replica

Homes = Mapping[str, Sequence[Replica]]
"""The replicas of each version, by its label (`name@version`)."""


class ReplicaMaker:
    """Knows of each replica what it was made of; forgets with the replica's home."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._made_of: dict[Replica, tuple[str, str, str]] = {}

    def __repr__(self) -> str:
        return f"<ReplicaMaker of {len(self._made_of)} replicas>"

    def homes(self, specs: Sequence[ModelSpec], before: Homes) -> Homes:
        """The replicas that these entries ask for: those of `before` where engine and options are still the same."""
        homes = {spec.label: self._home(spec, before.get(spec.label, ())) for spec in specs}
        kept = {replica for home in homes.values() for replica in home}
        kept.update(replica for home in before.values() for replica in home)  # until the change is certain
        self._made_of = {replica: what for replica, what in self._made_of.items() if replica in kept}
        return homes

    def _home(self, spec: ModelSpec, before: Sequence[Replica]) -> Sequence[Replica]:
        unclaimed = list(before)
        taken = {replica.name for replica in before}
        names = (name for n in count() if (name := f"{spec.home}-{n}") not in taken)
        home = []
        for options in spec.replicas:
            what = (spec.engine, spec.upstream or spec.name, _spelled(options))
            replica = next((one for one in unclaimed if self._made_of[one] == what), None)
            if replica is None:
                replica = self._make(next(names), spec, options)
                self._made_of[replica] = what
            else:
                unclaimed.remove(replica)
            home.append(replica)
        return home

    def _make(self, name: str, spec: ModelSpec, options: BaseModel) -> Replica:
        factory: Any = ENGINES[spec.engine]
        return Replica(name, factory(options, replace(self._surroundings, upstream=spec.upstream or spec.name)))


def _spelled(options: BaseModel) -> str:
    return options.model_dump_json()

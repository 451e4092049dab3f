"""Makes a replica of each entry of the configuration, and finds those again that have not changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from pydantic import BaseModel

from engines import ENGINES
from engines.api import Surroundings
from gateway.config import ModelSpec
from gateway.discovery import Addresses
from router.api import Replica

Homes = Mapping[str, Sequence[Replica]]
"""The replicas of each version, by its label (`name@version`)."""


@dataclass(slots=True, frozen=True)
class _Origin:
    """All that makes one replica another."""

    label: str
    engine: str
    upstream: str
    options: str


class ReplicaMaker:
    """Knows every replica, and what it was made of, until it is told to forget it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._made: dict[Replica, _Origin] = {}

    def __repr__(self) -> str:
        return f"<ReplicaMaker of {len(self._made)} replicas>"

    @property
    def replicas(self) -> list[Replica]:
        """In the order in which they were made."""
        return list(self._made)

    def homes(self, specs: Iterable[ModelSpec], addresses: Addresses) -> Homes:
        """The replicas that these entries ask for: known ones where nothing has changed, else new ones.

        `addresses` of hosts to be discovered: without any, a version has no replica. Raises ValueError, knowing no
        more than before, if an engine can't be made: a secret that its options refer to can't be used.
        """
        before = dict(self._made)
        try:
            return {spec.label: self._home(spec, addresses) for spec in specs}
        except ValueError:
            self._made = before
            raise

    def label(self, replica: Replica) -> str:
        """Of the version that it was made for."""
        return self._made[replica].label

    def runs_here(self, replica: Replica) -> bool:
        """Whether its engine runs on this machine."""
        return ENGINES[self._made[replica].engine].runs_here

    def forget(self, replica: Replica) -> None:
        del self._made[replica]

    def _home(self, spec: ModelSpec, addresses: Addresses) -> Sequence[Replica]:
        unclaimed: dict[_Origin, deque[Replica]] = {}
        for replica, origin in self._made.items():
            if origin.label == spec.label:
                unclaimed.setdefault(origin, deque()).append(replica)
        taken = {replica.name for replica in self._made}
        home = []
        for names, options in _wanted(spec, addresses):
            origin = _Origin(spec.label, spec.engine, spec.upstream or spec.name, options.model_dump_json())
            if same := unclaimed.get(origin):
                replica = same.popleft()
            else:
                replica = self._make(next(name for name in names if name not in taken), spec, options)
                self._made[replica] = origin
            home.append(replica)
        return home

    def _make(self, name: str, spec: ModelSpec, options: BaseModel) -> Replica:
        factory: Any = ENGINES[spec.engine]
        return Replica(name, factory(options, replace(self._surroundings, upstream=spec.upstream or spec.name)))


def _wanted(spec: ModelSpec, addresses: Addresses) -> Iterator[tuple[Iterator[str], BaseModel]]:
    """For each replica names that no other has had, the first free one of which it takes, and its options."""
    if spec.discover is None:
        numbered = (f"{spec.home}-{n}" for n in count())  # one for all: to count anew for each takes a square of time
        for options in spec.replicas:
            yield numbered, options
    else:
        for address in addresses.get(spec.discover.host, ()):
            yield _named_after(f"{spec.home}-{address}"), spec.replica_at(address)


def _named_after(name: str) -> Iterator[str]:
    """While one that was there before still ends its work, a new one needs another name."""
    yield name
    yield from (f"{name}-{n}" for n in count(1))

"""What the router promises and how it refuses: models with replicas, and a policy that picks among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

from engines.api import Engine


class NoSuchModel(Exception):
    """No model of that name is in the catalog."""


class NoReplica(Exception):
    """The model has no replica that is left to be asked."""


class Replica:
    """One engine under a name, and how many calls it is busy with."""

    __slots__ = ("engine", "in_flight", "name")

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self.in_flight = 0

    def __repr__(self) -> str:
        return f"<Replica {self.name} [{self.in_flight} in flight]>"

    def lease(self) -> Lease:
        return Lease(self)


class Lease:
    """A place on a replica, from the attempt until the last byte of the answer."""

    __slots__ = ("_held", "replica")

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._held = True
        replica.in_flight += 1

    def release(self) -> None:
        if self._held:
            self._held = False
            self.replica.in_flight -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


class Policy(Protocol):
    """Orders nothing and waits for nothing: one replica out of those that may still be asked (never empty)."""

    def pick(self, replicas: Sequence[Replica]) -> Replica: ...


@dataclass(slots=True, frozen=True)
class Model:
    """A public name, what the upstream calls it, and where it runs. `created` is in Unix seconds."""

    name: str
    upstream: str
    created: int
    max_tokens: int
    cap_field: Literal["max_tokens", "max_completion_tokens"]
    replicas: Sequence[Replica]
    policy: Policy = field(repr=False)

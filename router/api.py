"""What the router promises and how it refuses: models with replicas, and a policy that picks among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from engines.api import Engine, EngineError, Kind


class NoSuchModel(Exception):
    """No model of that name is in the catalog."""


class NoReplica(Exception):
    """The model has no replica that is left to be asked."""


class Quarantined(Exception):
    """Model servers have died under this prompt: it is not sent again for `seconds`."""

    def __init__(self, kind: Kind, seconds: float) -> None:
        super().__init__(kind)
        self.kind = kind
        self.seconds = seconds


class Replica:
    """One engine under a name, how many calls it is busy with, and what it has had and failed since the start."""

    __slots__ = ("calls", "engine", "failures", "in_flight", "name")

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self.in_flight = self.calls = 0
        self.failures: Counter[type[EngineError]] = Counter()

    def __repr__(self) -> str:
        return f"<Replica {self.name} [{self.in_flight} in flight, {self.failures.total()} of {self.calls} failed]>"


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

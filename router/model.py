"""A model as callers know it: its versions, and how one is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Literal

from engines.api import EngineError, Failed, Overloaded, Rejected, TimedOut, Unreachable
from router.admission import Admission
from router.api import Caller, CapField, NoReplica, Replica, Shed
from router.hedging import Hedge
from router.pool import Pool
from router.split import Split

if TYPE_CHECKING:
    from router.shadow import Shadow  # which is made of a version

Trouble = Literal["outage", "overload", "context_length"]
"""Why another model may answer instead."""


@dataclass(slots=True, frozen=True)
class Version:
    """What one version of a model runs on. `label` tells it from those of all models: `model@name`."""

    model: str
    name: str
    label: str
    upstream: str
    """What its model servers call it."""
    max_tokens: int
    cap_field: CapField
    admission: Admission

    @property
    def pool(self) -> Pool:
        return self.admission.pool


@dataclass(slots=True, frozen=True)
class Fallback:
    """Models, by name, that may answer in place of one that can't, and in which trouble of that one."""

    models: tuple[str, ...]
    on: frozenset[Trouble]


@dataclass(slots=True, frozen=True)
class Model:
    """A public name, its versions by name, and the way to one of them. `created` is in Unix seconds.

    `tenants`: who may see it; None: everybody.
    """

    name: str
    created: int
    versions: Mapping[str, Version]
    split: Split = field(repr=False)
    tenants: frozenset[str] | None = None
    fallback: Fallback | None = None
    shadow: Shadow | None = None
    hedge: Hedge | None = None
    why: str = "only"
    """Why it is the only version, where there is nothing to choose."""
    only: Version | None = field(init=False, repr=False)
    """The version, where there is nothing to choose: most models have no other, and their requests don't pay for it."""

    def __post_init__(self) -> None:
        only = next(iter(self.versions.values())) if len(self.versions) == 1 else None
        object.__setattr__(self, "only", only)  # frozen for everybody else

    @property
    def replicas(self) -> list[Replica]:
        """Of all versions."""
        return [replica for version in self.versions.values() for replica in version.pool.replicas]

    def choose(self, caller: Caller, random: Random) -> tuple[Version, str]:
        """The version that a caller's requests go to, and why."""
        choice = self.split.choose(caller, random)
        return self.versions[choice.version], choice.why

    def pinned(self, version: str) -> Model:
        """Itself with that version alone: who asks for one wants no other's answers, nor another model's."""
        return replace(self, versions={version: self.versions[version]}, fallback=None, why="pin")


def trouble_of(error: Exception) -> Trouble | None:
    """What a failed dispatch says about the model, if it says something: not if the caller has made a mistake."""
    match error:
        case TimedOut(phase="total"):
            return None  # nobody waits any more
        case EngineError(poison=True):
            return None  # another model's servers would be the next
        case Overloaded() | Shed():
            return "overload"
        case NoReplica() | Unreachable() | Failed():
            return "outage"
        case Rejected(code="context_length_exceeded"):
            return "context_length"
        case _:
            return None

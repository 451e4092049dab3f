"""Which version of a model a caller gets: by rule or by weight, and the same one for as long as neither changes.

Each version draws a number from the hash of its own name and the caller's, and the least number wins: an exponential
race, in which a version wins as often as its weight says. Raising one weight lowers the numbers of that version alone,
so whoever moves, moves there (widening a canary takes nobody out of it), and no process needs to know another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite, log
from operator import attrgetter
from random import Random
from typing import Literal

from router.api import Caller, Choice

Sticky = Literal["key", "tenant", "user", "session", "none"]
"""What a caller stays with its version by; one that lacks it is known by its key, else by its tenant."""


@dataclass(slots=True, frozen=True)
class Rule:
    """Sends to a version, whatever it weighs, callers for whom all holds that is given; empty: not given."""

    version: str
    tenants: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    header: tuple[bytes, bytes] | None = None
    """Name and value; seen only of callers who may steer."""

    def matches(self, caller: Caller) -> bool:
        return (
            (not self.tenants or caller.tenant in self.tenants)
            and (not self.keys or caller.key in self.keys)
            and (self.header is None or caller.headers.get(self.header[0]) == self.header[1])
        )


class _Runner:
    """A version in the race."""

    __slots__ = ("choice", "hash", "weight")

    def __init__(self, model: str, version: str, weight: float) -> None:
        self.choice = Choice(version, "weights")
        self.weight = weight
        self.hash = blake2b(digest_size=8)
        for name in (model.encode(), version.encode()):
            self.hash.update(len(name).to_bytes(4) + name)  # with its length: no two pairs of names look alike

    def __repr__(self) -> str:
        return f"{self.choice.version}={self.weight:g}"


class Split:
    """The versions of one model and who gets which. Never changes; new weights are a new one.

    `weights` by version: any scale; 0 gets nobody but by rule. Raises ValueError, in words for people.
    """

    def __init__(self, model: str, weights: Mapping[str, float], sticky: Sticky, rules: Sequence[Rule] = ()) -> None:
        self.sticky = sticky
        self.headers = frozenset(rule.header[0] for rule in rules if rule.header is not None)
        """Names of those that rules look at."""
        self.reached = frozenset((*(name for name in weights if weights[name]), *(rule.version for rule in rules)))
        """Versions that a caller may get without a pin."""
        _check(weights, rules)
        self._rules = tuple((rule, Choice(rule.version, f"rule {at}")) for at, rule in enumerate(rules, 1))
        runners = [_Runner(model, version, weight) for version, weight in sorted(weights.items()) if weight]
        self._runners = tuple(runners)
        self._only = Choice(runners[0].choice.version, "only") if len(runners) == 1 else None
        # the names of callers to go by, the first that is there
        self._known_by = () if sticky == "none" else tuple(map(attrgetter, dict.fromkeys((sticky, "key", "tenant"))))

    def __repr__(self) -> str:
        return f"<Split {', '.join(map(repr, self._runners))} by {self.sticky}, {len(self._rules)} rules>"

    def choose(self, caller: Caller, random: Random) -> Choice:
        """The first rule that matches, or by weight; `random` is asked only about callers with nothing to stay by."""
        for rule, choice in self._rules:
            if rule.matches(caller):
                return choice
        if self._only is not None:
            return self._only
        for known_by in self._known_by:
            if name := known_by(caller):
                return self._hashed(name if isinstance(name, bytes) else name.encode())
        return min(self._runners, key=lambda runner: random.expovariate(runner.weight)).choice

    def _hashed(self, name: bytes) -> Choice:
        winner, least = self._runners[0], float("inf")
        for runner in self._runners:
            drawn = runner.hash.copy()
            drawn.update(name)
            number = -log((int.from_bytes(drawn.digest()) + 1) / 2**64) / runner.weight
            if number < least:
                winner, least = runner, number
        return winner.choice


def _check(weights: Mapping[str, float], rules: Sequence[Rule]) -> None:
    for version, weight in weights.items():
        if not (isfinite(weight) and weight >= 0):
            msg = f"the weight of version {version} is no number from 0 up"
            raise ValueError(msg)
    if not any(weights.values()):
        msg = "the weights sum to 0: no version would get anybody"
        raise ValueError(msg)
    for at, rule in enumerate(rules, 1):
        if rule.version not in weights:
            msg = f"rule {at}: there is no version {rule.version}"
            raise ValueError(msg)

"""What clients saw, put together with what the model server counted: histories for the judge."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

import msgspec

from loadtests.quotas.asking import CAP, MARK, Asked
from loadtests.quotas.history import Passed
from loadtests.quotas.plans import Bound, Unit

REFUSED = 429
SETTLES = 0.5
"""Seconds, at most, from when a client sees an end to when that has been settled in the store."""
KEPT = 0.5
"""Seconds, at most, for which a gateway keeps more of what was given back than it may have taken in advance."""
_NUMBER = re.compile(rf"{MARK}(\d+) ")


class Message(msgspec.Struct):
    """Of a chat."""

    content: str


class Body(msgspec.Struct):
    """Of a request."""

    messages: list[Message]


class Call(msgspec.Struct):
    """What matters here of an entry in the model server's log."""

    body: Body
    prompt_tokens: int
    tokens: int
    start: float
    end: float | None
    outcome: str | None


@dataclass(slots=True, frozen=True)
class Killed:
    """A gateway, by its number, that was killed then."""

    gateway: int
    at: float

    def took(self, asked: Asked) -> bool:
        """Whether what it had reserved may never have been settled."""
        return asked.gateway == self.gateway and asked.sent <= self.at < asked.ended + SETTLES


def numbered(calls: Iterable[Call]) -> defaultdict[int, list[Call]]:
    """By the number of the request that they are for; each may be tried more than once."""
    found: defaultdict[int, list[Call]] = defaultdict(list)
    for call in calls:
        if number := _NUMBER.match(call.body.messages[0].content):
            found[int(number[1])].append(call)
    return found


class History:
    """Of one load, in which some gateways were killed."""

    def __init__(self, asked: Sequence[Asked], calls: Iterable[Call], killed: Sequence[Killed] = ()) -> None:
        self.asked = asked
        self._killed = killed
        self._calls = numbered(calls)

    def __repr__(self) -> str:
        return f"<History of {len(self.asked)} requests, {len(self._killed)} gateways killed>"

    def passed(self, bound: Bound) -> Iterator[tuple[tuple[str, int], Passed]]:
        """By tenant and key, where the limit is a key's; else the key is 0."""
        for one in self.asked:
            if one.tenant == bound.plan and one.status != REFUSED:
                yield (one.tenant, one.key if bound.holder == "key" else 0), self._passed(one, bound)

    def at_once(self, tenant: str) -> int:
        """Most requests of a tenant that the model server had at a time."""
        changes = sorted(self._changes(one for one in self.asked if one.tenant == tenant))
        most = now = 0
        for _, change in changes:
            now += change
            most = max(most, now)
        return most

    def _changes(self, asked: Iterable[Asked]) -> Iterator[tuple[float, int]]:
        for one in asked:
            for call in self._calls[one.number]:
                yield call.start, 1
                yield min(call.end or inf, one.ended), -1

    def _passed(self, one: Asked, bound: Bound) -> Passed:
        settled = one.ended + SETTLES
        lost = any(killed.took(one) for killed in self._killed)
        return Passed(one.sent, one.known, settled + KEPT, inf if lost else settled, *self._amounts(one, bound.unit))

    def _amounts(self, one: Asked, unit: Unit) -> tuple[int, int, int]:
        """What it used, and the least and most that it may have reserved."""
        calls = self._calls[one.number]
        produced = sum(call.tokens for call in calls)
        counts = bool(calls) and (produced > 0 or one.ending == "left")
        match unit:
            case "requests":
                return int(counts), 1, 1
            case "output_tokens":
                return produced, 0, CAP
            case "tokens":
                return produced + (calls[0].prompt_tokens if counts else 0), 0, one.size + CAP

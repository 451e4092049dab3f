"""Judges from outside whether one limit held, over all windows of time; pure.

What it knows of a request is when its client sent it, when the client first knew that it had passed, and what the model
server counted. When the gateway decided lies between the two, so a window has let in for certain only those that were
sent and known within it. Of these, no more may have been used than

    rate x W + burst + what gateways have taken in advance
                     + what reservations from before the window may have given back within it
                     + what those under way at its end may use beyond their reservations

What was reserved nobody says; the request bounds it: by its prompt, and by the largest answer that it asked for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf


@dataclass(slots=True, frozen=True)
class Passed:
    """One request that was let in. Times in seconds, units are those of the limit.

    It used `charge`, and had reserved no less than `least` and no more than `most`. `given_back`: from when on nothing
    of that could be given back any more; `charged`: by when what it used beyond that has been, inf if it never was.
    """

    sent: float
    known: float
    given_back: float
    charged: float
    charge: float
    least: float
    most: float


@dataclass(slots=True, frozen=True)
class Lapse:
    """A time in which the store could not be asked, or lost what it held (`wiped`) at some moment of it.

    Windows that touch it may have a burst more, and what is owed from before and charged to nobody.
    """

    begin: float
    end: float
    wiped: bool


@dataclass(slots=True, frozen=True)
class Limit:
    """Units a second, and at once. `ahead`: what all gateways together may have taken in advance."""

    rate: float
    burst: float
    lapses: Sequence[Lapse] = ()
    ahead: float = 0.0


@dataclass(slots=True, frozen=True)
class Window:
    """The one with most: `used` units in it, of which all but some `bursts` are explained."""

    begin: float
    end: float
    used: float
    bursts: float
    """At most 1 where the limit held."""


def worst(passed: Sequence[Passed], limit: Limit) -> Window:
    """The window that comes closest to too much, or goes furthest. O(n log n). Raises ValueError if nothing passed."""
    if not passed:
        raise ValueError("nothing passed")
    ends = sorted(passed, key=lambda one: one.known)
    given_back = _UnderWay((one.sent, _returned(one, limit.lapses), one.most - one.charge) for one in ends)
    over = _UnderWay((one.sent, one.charged, one.charge - one.least) for one in ends)
    more = [limit.burst + over.during(lapse.begin, lapse.end) for lapse in limit.lapses]

    def since(time: float) -> float:
        past = (so_much for lapse, so_much in zip(limit.lapses, more, strict=True) if lapse.end <= time)
        return limit.rate * time + sum(past)

    def until(time: float) -> float:
        begun = (so_much for lapse, so_much in zip(limit.lapses, more, strict=True) if lapse.begin <= time)
        return limit.rate * time + sum(begun)

    tree = _Ends([until(one.known) + over.during(one.sent, one.known) for one in ends])
    windows = []
    for at in sorted(range(len(ends)), key=lambda at: -ends[at].sent):
        tree.add(at, ends[at].charge)
        begin, (value, end) = ends[at].sent, tree.best
        windows.append((value + since(begin) - given_back.before(begin), begin, ends[end].known))
    beyond, begin, end_time = max(windows)
    used = sum(one.charge for one in ends if begin <= one.sent and one.known <= end_time)
    return Window(begin, end_time, used, (beyond - limit.ahead) / limit.burst)


def _returned(one: Passed, lapses: Iterable[Lapse]) -> float:
    """By when it has given back what it will; a reservation that is lost gives back nothing."""
    wiped = (lapse.end for lapse in lapses if lapse.wiped and lapse.begin > one.known)
    return min(one.given_back, *wiped, inf)


class _UnderWay:
    """Sums over what was under way at a time, by begin, end and how much each is; what is below zero counts nothing."""

    def __init__(self, spans: Iterable[tuple[float, float, float]]) -> None:
        counted = [span for span in spans if span[2] > 0]
        begins = sorted((begin, so_much) for begin, _, so_much in counted)
        ends = sorted((end, so_much) for _, end, so_much in counted)
        self._begins = [time for time, _ in begins]
        self._ends = [time for time, _ in ends]
        self._begun = [0.0, *accumulate(so_much for _, so_much in begins)]
        self._ended = [0.0, *accumulate(so_much for _, so_much in ends)]

    def __repr__(self) -> str:
        return f"<_UnderWay of {len(self._begins)}>"

    def before(self, time: float) -> float:
        """Begun before, and not over before."""
        return self._begun[bisect_left(self._begins, time)] - self._ended[bisect_left(self._ends, time)]

    def during(self, begin: float, end: float) -> float:
        """At some time of this span."""
        return self._begun[bisect_right(self._begins, end)] - self._ended[bisect_left(self._ends, begin)]


class _Ends:
    """A tree over possible ends of a window, in order of time: up to which most was added beyond what is `explained`.

    Each node has the sum of its leaves, and of its leaves that were added the best end.
    """

    def __init__(self, explained: Sequence[float]) -> None:
        self._size = 1 << (len(explained) - 1).bit_length()
        self._explained = explained
        self._sums = [0.0] * (2 * self._size)
        self._bests = [(-inf, 0)] * (2 * self._size)

    def __repr__(self) -> str:
        return f"<_Ends {len(self._explained)}, best {self.best}>"

    @property
    def best(self) -> tuple[float, int]:
        """How much that is, and the number of the end."""
        return self._bests[1]

    def add(self, at: int, charge: float) -> None:
        node = self._size + at
        self._sums[node] = charge
        self._bests[node] = charge - self._explained[at], at
        while node := node // 2:
            left, right = 2 * node, 2 * node + 1
            self._sums[node] = self._sums[left] + self._sums[right]
            value, which = self._bests[right]
            self._bests[node] = max(self._bests[left], (self._sums[left] + value, which))

"""How much a caller may ask for, as the rest of the product sees it: limits, what is reserved of them, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self, get_args

import msgspec

from security.limits.budget import Budget

Unit = Literal["requests", "input_tokens", "output_tokens", "tokens"]
Mode = Literal["share", "closed", "open"]
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)

SECOND: Final = 1_000_000
"""Microseconds: all times of limits are whole numbers of them, so that every store counts alike."""
MOST: Final = 2**50
"""Microseconds (35 years) that a limit may have to do with: sums of them are still exact as a script's numbers."""


def key(tenant: str, *parts: str) -> str:
    """The name of a limit in every store, such as `key("acme", "key", "AbC123", "requests")`.

    What is in braces is the same for all limits of one decision, so that a cluster keeps them on one node.
    """
    return f"snowshed:{{{tenant}}}:{':'.join(parts)}"


class Cost(msgspec.Struct, frozen=True):
    """What a request uses: an estimate before, the truth after."""

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    money: int = 0
    """Millionths of the unit that prices are in: what budgets are charged."""

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """Of each of UNITS."""
        prompt, output = self.input_tokens, self.output_tokens
        return self.requests, prompt, output, prompt + output


NOTHING: Final = Cost(0)


@dataclass(slots=True, frozen=True)
class Bucket:
    """One limit of one holder: `limit` units in `window` seconds, and no more than `burst` at once (0: as `limit`).

    `key` is its name in every store, as `key()` makes it. Without `enforce` it refuses nobody, and what it would have
    refused is told. Raises ValueError.
    """

    key: str
    unit: Unit
    limit: int
    window: float
    burst: int = 0
    enforce: bool = True
    period: int = field(init=False, repr=False)
    """Microseconds in which `limit` units drain."""
    span: int = field(init=False, repr=False)
    """Microseconds in which `burst` units drain: how far ahead of the clock the bucket may be."""
    nth: int = field(init=False, repr=False)
    """Which of UNITS it counts."""

    def __post_init__(self) -> None:
        if self.limit < 1 or self.burst < 0 or not 0 < self.window <= MOST / SECOND:
            raise ValueError("a limit takes one unit at least, in some time")
        burst, period = self.burst or self.limit, round(self.window * SECOND)
        span = -(-burst * period // self.limit)
        if span > MOST:
            raise ValueError("a burst takes no more than 35 years to drain")
        nth = UNITS.index(self.unit)
        for name, value in (("burst", burst), ("period", period), ("span", span), ("nth", nth)):
            object.__setattr__(self, name, value)

    def left(self, level: int) -> int:
        """Units, where it drains in so many microseconds."""
        left = (self.span - level) * self.limit // self.period
        return 0 if left < 0 else left if left < self.burst else self.burst  # noqa: FURB136  # as in gcra.py


@dataclass(slots=True, frozen=True)
class Slots:
    """How many requests of one holder may be under way at a time. `key` and `enforce` as a bucket's."""

    key: str
    limit: int
    enforce: bool = True

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError("a limit takes one request at least")


@dataclass(slots=True, frozen=True)
class Quota:
    """All that binds one caller for one model; made once, and used for each of their requests.

    `mode`: what holds while the store that gateways share can't be asked. `share`: this gateway's part of each limit,
    `closed`: nobody passes, `open`: everybody does. `cut`: whoever reserves is to end answers where nothing is left for
    them. Of `budgets`, those that begin anew first come first. Raises ValueError.
    """

    tenant: str
    buckets: tuple[Bucket, ...] = ()
    slots: tuple[Slots, ...] = ()
    mode: Mode = "share"
    cut: bool = False
    budgets: tuple[Budget, ...] = ()
    _most_output: int = field(init=False, repr=False)
    _most_tokens: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        keys = {bucket.key for bucket in self.buckets} | {slots.key for slots in self.slots}
        if len(keys) < len(self.buckets) + len(self.slots):
            raise ValueError("each limit of a quota has a key of its own")
        for name, unit in (("_most_output", "output_tokens"), ("_most_tokens", "tokens")):
            bursts = [bucket.burst for bucket in self.buckets if bucket.unit == unit and bucket.enforce]
            object.__setattr__(self, name, min(bursts, default=MOST))

    def most_output(self, prompt: int) -> int:
        """Tokens of an answer that ever pass at once, beside a prompt of so many; 0 or less: none do."""
        return min(self._most_output, self._most_tokens - prompt)


class Standing(msgspec.Struct, frozen=True):
    """Where a bucket stands: units that are left now, and seconds until it is as if never used."""

    bucket: Bucket
    remaining: int
    full_in: float


class NeverFits(Exception):
    """The request takes more at once, `asked` units of it, than `bucket` ever holds: to wait is of no use."""

    def __init__(self, bucket: Bucket, asked: int) -> None:
        super().__init__(bucket.key)
        self.bucket = bucket
        self.asked = asked


class LimitsAway(Exception):
    """The store can't be asked, and without it nobody passes. `wait`: seconds after which to try again."""

    def __init__(self, wait: float) -> None:
        super().__init__("the store of limits is away")
        self.wait = wait


Limit = Bucket | Slots | Budget


class Decision(msgspec.Struct):
    """Whether a request may pass, and what it takes with it. Lists have an entry for each bucket of its quota."""

    now: int
    tats: Sequence[int]
    """Until when each bucket drains, in microseconds as `now`; with the charge, if there is one."""
    paid: Sequence[int | None]
    """Microseconds that each bucket was charged; None: it was left out, as it would have refused."""
    held: Sequence[Slots]
    waived: Sequence[Limit] = ()
    """What would have refused, were it enforced: of these nothing is taken, but of budgets."""
    refused_by: Limit | None = None
    """Who has room last; then nothing is taken of any."""
    wait: int = 0
    """Microseconds until then; of a budget, nothing is said."""
    money: int = 0
    """Millionths that are held of each of its budgets."""
    spent: Sequence[int] = ()
    """Millionths that are spent or held of each, with those."""


def standings(quota: Quota, decision: Decision) -> Sequence[Standing]:
    """Of the buckets that are enforced."""
    now, found = decision.now, []
    for bucket, tat in zip(quota.buckets, decision.tats, strict=True):
        if bucket.enforce:
            level = tat - now if tat > now else 0
            found.append(Standing(bucket, bucket.left(level), level / SECOND))
    return found


class OverLimit(Exception):
    """Not now: `limit` is the one that has room last. `wait`: seconds until all of them will have, if nobody else asks.

    Of slots nobody knows when one is free: there it is the time after which to ask again. A budget has room when it
    begins anew.
    """

    def __init__(self, quota: Quota, decision: Decision) -> None:
        assert decision.refused_by is not None
        super().__init__(decision.refused_by.key)
        self.limit = decision.refused_by
        self.wait = decision.wait / SECOND
        self.quota = quota
        self.decision = decision

    @property
    def standings(self) -> Sequence[Standing]:
        return standings(self.quota, self.decision)

    @property
    def remaining(self) -> int:
        """What is left of `limit`, in its own unit."""
        for budget, spent in zip(self.quota.budgets, self.decision.spent, strict=False):
            if budget is self.limit:
                return max(0, budget.limit - spent)
        return next((standing.remaining for standing in self.standings if standing.bucket is self.limit), 0)


class Reservation(msgspec.Struct, eq=False):
    """What a request holds of its quota: a block around all of its work. Leaving it unsettled gives everything back."""

    quota: Quota
    decision: Decision
    _end: Callable[[Quota, Decision, Cost], None] | None

    def __repr__(self) -> str:
        state = "open" if self._end else "settled"
        return f"<Reservation {list(self.decision.paid)} µs, {len(self.decision.held)} slots, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is not None:
            self.settle(NOTHING)

    @property
    def standings(self) -> Sequence[Standing]:
        """As they were with this reservation made."""
        return standings(self.quota, self.decision)

    @property
    def waived(self) -> Sequence[Limit]:
        """Limits that are not enforced and would have refused."""
        return self.decision.waived

    def settle(self, actual: Cost) -> None:
        """Once: what was reserved beyond `actual` is given back, what is missing is a debt, slots are free."""
        end = self._end
        if end is not None:
            self._end = None
            end(self.quota, self.decision, actual)

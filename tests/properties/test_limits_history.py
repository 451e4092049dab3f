"""The judge of histories accepts those of limits that hold, finds what is planted, and misses no window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.quotas.history import Lapse, Limit, Passed, worst

RATE, BURST = 10.0, 100.0
JITTER = 0.05
"""Seconds, at most, between a decision and what clients know of it."""
REQUESTS, GATEWAYS = 400, 3


@dataclass(slots=True)
class Store:
    """One bucket, as it should be, that several gateways share."""

    tat: float = 0.0
    held: dict[int, float] = field(default_factory=dict)

    def take(self, _gateway: int, name: int, amount: float, now: float) -> bool:
        tat = max(self.tat, now) + amount / RATE
        if tat > now + BURST / RATE:
            return False
        self.tat, self.held[name] = tat, amount
        return True

    def settle(self, name: int, actual: float, now: float) -> None:
        if (amount := self.held.pop(name, None)) is not None:
            self.correct(actual - amount, now)

    def correct(self, more: float, now: float) -> None:
        self.tat = (max(self.tat, now) if more > 0 else self.tat) + more / RATE

    def wipe(self) -> None:
        self.tat = 0.0
        self.held.clear()


class Twice(Store):
    """What is given back is given back again."""

    def correct(self, more: float, now: float) -> None:
        super().correct(2 * more if more < 0 else more, now)


@dataclass(slots=True)
class Remembering(Store):
    """Gives back what it does not know of any more."""

    reserved: dict[int, float] = field(default_factory=dict)

    def take(self, gateway: int, name: int, amount: float, now: float) -> bool:
        self.reserved[name] = amount
        return Store.take(self, gateway, name, amount, now)

    def settle(self, name: int, actual: float, now: float) -> None:
        self.correct(actual - self.reserved[name], now)


class Apart(Store):
    """One of the gateways has a bucket of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.own = Store()

    def take(self, gateway: int, name: int, amount: float, now: float) -> bool:
        if gateway == 0:
            return self.own.take(gateway, name, amount, now)
        return super().take(gateway, name, amount, now)

    def settle(self, name: int, actual: float, now: float) -> None:
        self.own.settle(name, actual, now)
        super().settle(name, actual, now)


class Ahead(Store):
    """Gateways take some in advance."""

    chunk = 15.0

    def __init__(self) -> None:
        super().__init__()
        self.left = [0.0] * GATEWAYS

    def take(self, gateway: int, name: int, amount: float, now: float) -> bool:
        if self.left[gateway] < amount and super().take(gateway, -1, self.chunk, now):
            self.left[gateway] = self.chunk
        if self.left[gateway] < amount:
            return False
        self.left[gateway] -= amount
        self.held[name] = amount
        return True


@dataclass(slots=True)
class Demand:
    """Who comes how fast, and how wrong reservations are."""

    every: float
    takes: float
    amount: int
    truth: Callable[[Random, float, float], float]


def failing(random: Random, amount: float, _now: float) -> float:
    return 0.0 if random.random() < 0.4 else amount


def guessed(random: Random, amount: float, _now: float) -> float:
    return amount * random.choice((0.0, 0.5, 1.0, 1.5))


def lived(store: Store, seed: int, demand: Demand, wipes: Iterable[float] = ()) -> list[Passed]:
    """The gateways ask at random; what clients see of it."""
    random, names = Random(seed), count()
    passed: list[Passed] = []
    under_way: list[tuple[float, int, float]] = []
    now, due = 0.0, sorted(wipes, reverse=True)
    for _ in range(REQUESTS):
        now += random.expovariate(1 / demand.every)
        while under_way and under_way[0][0] <= now:
            ended, name, actual = heappop(under_way)
            store.settle(name, actual, ended)
        if due and due[-1] <= now:
            due.pop()
            store.wipe()
        name, amount = next(names), float(random.randint(1, demand.amount))
        if store.take(random.randrange(GATEWAYS), name, amount, now):
            ended, actual = now + random.expovariate(1 / demand.takes), demand.truth(random, amount, now)
            heappush(under_way, (ended, name, actual))
            sent, known = now - random.uniform(0, JITTER), now + random.uniform(0, JITTER)
            settled = max(ended, known) + JITTER
            passed.append(Passed(sent, known, settled, settled, actual, min(amount, actual), amount))
    return passed


busy = Demand(every=0.05, takes=0.3, amount=10, truth=failing)
demands = st.builds(
    Demand,
    st.sampled_from([0.02, 0.2, 1.0]),
    st.sampled_from([0.01, 0.5, 5.0]),
    st.sampled_from([1, 10, 60]),
    st.sampled_from([failing, guessed]),
)
seeds = st.integers(0, 2**32)


@given(seeds, demands)
@settings(deadline=None)
def test_a_limit_that_holds_is_accepted(seed: int, demand: Demand) -> None:
    assert worst(lived(Store(), seed, demand), Limit(RATE, BURST)).bursts <= 1 + 1e-9


@given(seeds, demands, st.lists(st.floats(0, 100), min_size=1, max_size=3))
@settings(deadline=None)
def test_a_store_that_loses_all_lets_one_burst_more_pass(seed: int, demand: Demand, wipes: list[float]) -> None:
    slack = demand.every * 50  # it happens with the next request
    limit = Limit(RATE, BURST, [Lapse(wipe, wipe + slack, wiped=True) for wipe in wipes])
    assert worst(lived(Store(), seed, demand, wipes), limit).bursts <= 1 + 1e-9


@given(seeds, st.sampled_from([0.02, 0.2, 1.0]))
@settings(deadline=None)
def test_what_gateways_take_in_advance_is_no_fault(seed: int, every: float) -> None:
    demand = Demand(every, takes=0.5, amount=10, truth=failing)
    limit = Limit(RATE, BURST, ahead=GATEWAYS * Ahead.chunk)
    assert worst(lived(Ahead(), seed, demand), limit).bursts <= 1 + 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_all_of_a_limit_is_seen(seed: int) -> None:
    """As somebody asks for more, some window has nearly all that it allows."""
    assert worst(lived(Store(), seed, busy), Limit(RATE, BURST)).bursts > 0.8


@pytest.mark.parametrize("seed", range(20))
def test_who_gives_back_twice_is_found(seed: int) -> None:
    assert worst(lived(Twice(), seed, busy), Limit(RATE, BURST)).bursts > 1


@pytest.mark.parametrize("seed", range(20))
def test_who_gives_back_what_was_lost_is_found(seed: int) -> None:
    """While much is under way that fails."""
    slow = Demand(every=0.05, takes=4.0, amount=10, truth=lambda _, amount, now: 0.0 if now < 5.0 else amount)
    limit = Limit(RATE, BURST, [Lapse(5.0, 5.5, wiped=True)])
    assert worst(lived(Remembering(), seed, slow, [5.0]), limit).bursts > 1
    assert worst(lived(Store(), seed, slow, [5.0]), limit).bursts <= 1


@pytest.mark.parametrize("seed", range(20))
def test_a_gateway_with_a_bucket_of_its_own_is_found(seed: int) -> None:
    assert worst(lived(Apart(), seed, busy), Limit(RATE, BURST)).bursts > 1


def looked_at_one_by_one(passed: list[Passed], limit: Limit) -> float:
    """The same by the definition, window by window."""
    found = []
    for begin in passed:
        back = sum(max(0, one.most - one.charge) for one in passed if one.sent < begin.sent <= one.given_back)
        for end in passed:
            within = [one.charge for one in passed if begin.sent <= one.sent and one.known <= end.known]
            if end.sent >= begin.sent:
                over = sum(
                    max(0, one.charge - one.least)
                    for one in passed
                    if one.sent <= end.known and one.charged >= end.sent
                )
                found.append(sum(within) - limit.rate * (end.known - begin.sent) - back - over)
    return max(found) / limit.burst


moments = st.integers(0, 40).map(lambda tenths: tenths / 10)
histories = st.lists(
    st.builds(
        lambda sent, known, back, charged, charge, least, most: Passed(
            sent, sent + known, sent + known + back, sent + known + charged, charge, least, most
        ),
        *[moments] * 4, *[st.integers(0, 200)] * 3,
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(histories)
def test_no_window_is_missed(passed: list[Passed]) -> None:
    limit = Limit(RATE, BURST)
    found = worst(passed, limit)
    assert found.bursts == pytest.approx(looked_at_one_by_one(passed, limit))
    assert found.used == sum(one.charge for one in passed if found.begin <= one.sent and one.known <= found.end)


def test_nothing_is_no_history() -> None:
    with pytest.raises(ValueError, match="nothing passed"):
        worst([], Limit(RATE, BURST))

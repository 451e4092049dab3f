"""Whatever comes and goes: those who keep waiting get their shares, and the standard class its floor.

That this would notice is shown on queues with a mistake each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations, cycle, islice

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from router.fair_queue import FLOOR, RANKS, Bounds, FairQueue
from router.lanes import Backlog, Lane
from tests.support.tickets import Ticket, serve

Make = Callable[[], FairQueue[Ticket]]
Property = Callable[[Make, settings], None]

SEVERAL = 3
"""Requests that come together."""
WEIGHTS = {"a": 1, "b": 2, "c": 4, "d": 1}

steps = st.tuples(
    st.sampled_from(("add", "serve", "serve", "serve", "discard")),
    st.sampled_from(tuple(WEIGHTS)),
    st.integers(0, 1000),
    st.integers(0, 1000),
)


class Gaps:
    """By how much what two tenants had per weight has differed, for each pair since both began to wait."""

    def __init__(self) -> None:
        self.had = dict.fromkeys(WEIGHTS, 0.0)
        self.most = dict.fromkeys(WEIGHTS, 0.0)
        self._ranges: dict[tuple[str, str], tuple[float, float]] = {}

    def served(self, tenant: str, tokens: float) -> None:
        """So many were used by one request."""
        self.had[tenant] += tokens / WEIGHTS[tenant]
        self.most[tenant] = max(self.most[tenant], tokens / WEIGHTS[tenant])

    def check(self, waiting: set[str]) -> None:
        """What two have had differs by one request of each at most, and so by twice the larger one."""
        for pair in combinations(WEIGHTS, 2):
            if not waiting.issuperset(pair):
                self._ranges.pop(pair, None)
                continue
            one, other = pair
            difference = self.had[one] - self.had[other]
            low, high = self._ranges.get(pair, (math.inf, -math.inf))
            low, high = self._ranges[pair] = min(low, difference), max(high, difference)
            assert high - low <= self.most[one] + self.most[other] + 1e-6


def shares_stay_close(make: Make, tried: settings) -> None:
    @tried
    @given(st.integers(0, 80), st.lists(steps, max_size=40))
    def run(served: int, happening: list[tuple[str, str, int, int]]) -> None:
        queue, gaps, waiting, used = make(), Gaps(), list[Ticket](), dict[Ticket, int]()
        begun = [("add", tenant, 100, 200) for tenant in "abc" for _ in range(15)] + [("serve", "", 0, 0)] * served
        for kind, tenant, charge, use in begun + happening:
            if kind == "add":
                for ticket in (Ticket(tenant, WEIGHTS[tenant], charge=charge) for _ in range(SEVERAL)):
                    queue.add(ticket)
                    used[ticket] = use
                    waiting.append(ticket)
            elif waiting and kind == "discard":
                queue.discard(waiting.pop(charge % len(waiting)))
            elif waiting:
                ticket = serve(queue)
                waiting.remove(ticket)
                queue.settle(ticket.tenant, 1, ticket.weight, used[ticket] - ticket.charge)
                gaps.served(ticket.tenant, used[ticket])
            gaps.check({ticket.tenant for ticket in waiting})

    run()


LONGEST = 100
works = st.integers(1, LONGEST)


def standard_has_its_floor(make: Make, tried: settings) -> None:
    @tried
    @given(st.lists(st.tuples(works, works), min_size=1, max_size=20))
    def run(pairs: list[tuple[int, int]]) -> None:
        queue, had = make(), [0.0, 0.0]
        for critical, standard in islice(cycle(pairs), 300):
            queue.add(Ticket(rank=0, work=critical))
            queue.add(Ticket(rank=1, work=standard))
            ticket = serve(queue)
            had[ticket.rank] += ticket.work
            floor = FLOOR / (1 - FLOOR) * had[0]
            assert floor - LONGEST / (1 - FLOOR) - 1e-6 <= had[1] <= floor + 1e-6

    run()


class WithoutFloor(Lane[Ticket]):
    """Who was idle begins where all began."""

    def take(self, ticket: Ticket) -> None:
        super().take(ticket)
        self.floor = 0.0


class WithoutWeights(Lane[Ticket]):
    def _count(self, backlog: Backlog[Ticket], tokens: float) -> None:
        super()._count(backlog, tokens * backlog.weight)


class WithoutClaims(FairQueue[Ticket]):
    def take(self, ticket: Ticket) -> None:
        super().take(ticket)
        self._claim = 0.0


def laned(lane: type[Lane[Ticket]]) -> FairQueue[Ticket]:
    queue: FairQueue[Ticket] = FairQueue(Bounds())
    queue._lanes = tuple(lane() for _ in RANKS)
    return queue


SOUND = partial(FairQueue[Ticket], Bounds())


@pytest.mark.parametrize("holds", [shares_stay_close, standard_has_its_floor])
def test_it_holds(holds: Property) -> None:
    holds(SOUND, settings())


@pytest.mark.parametrize(
    ("broken", "catches"),
    [
        (partial(laned, WithoutFloor), shares_stay_close),
        (partial(laned, WithoutWeights), shares_stay_close),
        (partial(WithoutClaims, Bounds()), standard_has_its_floor),
    ],
    ids=["no floor", "no weights", "no claims"],
)
def test_a_mistake_would_be_caught(broken: Make, catches: Property) -> None:
    tried = settings(
        phases=[Phase.generate], max_examples=2000, report_multiple_bugs=False, suppress_health_check=list(HealthCheck)
    )
    with pytest.raises(AssertionError):
        catches(broken, tried)

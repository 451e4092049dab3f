"""A limit that becomes another one, as plans change while requests go on: it stays at the share that is used of it."""

from __future__ import annotations

import pytest

from security.limits.api import Cost
from tests.support.limiting import LimiterStand


@pytest.mark.parametrize(("limit", "left"), [(10_000, 2_000), (100, 20), (1_000, 200)])
async def test_what_is_left_is_the_same_share_of_the_new_limit(stand: LimiterStand, limit: int, left: int) -> None:
    before, after = (stand.quota(stand.bucket("tpm", each)) for each in (1_000, limit))
    await stand.use(before, 800, 800)
    assert await stand.remaining(after) == [left]
    stand.later(6.0)  # a tenth of the window
    assert await stand.remaining(after) == [left + limit // 10]


async def test_what_is_under_way_is_settled_by_the_limit_that_it_was_reserved_by(stand: LimiterStand) -> None:
    before, after = (stand.quota(stand.bucket("tpm", each)) for each in (1_000, 100))
    first = await stand.ask(before, 300)
    second = await stand.ask(after, 30)
    assert await stand.remaining(after) == [40]
    first.settle(Cost(1, 100))
    assert await stand.remaining(after) == [60]
    second.settle(Cost(1, 50))
    assert await stand.remaining(before) == [400]


async def test_one_that_was_used_up_gives_room_at_the_new_pace(stand: LimiterStand) -> None:
    before, after = (stand.quota(stand.bucket("tpm", each)) for each in (60, 600))
    await stand.use(before, 60, 60)
    assert (await stand.refusal(before, 10)).wait == 10.0
    assert (await stand.refusal(after, 10)).wait == 1.0


async def test_a_lower_number_of_slots_holds_for_the_next_one(stand: LimiterStand) -> None:
    before, after = (stand.quota(stand.slots("busy", each)) for each in (3, 2))
    held = [await stand.ask(before) for _ in range(3)]
    await stand.refusal(after)
    for one in held[:2]:
        one.settle(Cost(1))
        stand.later(1.0)
    await stand.ask(after)
    stand.later(1.0)
    await stand.refusal(after)

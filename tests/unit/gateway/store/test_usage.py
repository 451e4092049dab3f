"""Rows and their sums are written together and once, whoever writes and however often; and read as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import date
from itertools import chain
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, func, select

from gateway.store.database import address, close, connect
from gateway.store.migrate import upgrade
from gateway.store.spending import DAY, FIELDS, Spent, Wanted
from gateway.store.tables import USAGE
from gateway.store.usage import STEP, UsageTable
from tests.support.databases import PostgresServer
from tests.support.ledgers import MIDNIGHT, added_up, spent
from tests.support.stored import Stored
from tests.support.waiting import PATIENCE

ALL = Wanted()
MANY = 1000


@pytest.fixture
def table(stored: Stored) -> UsageTable:
    return stored.registry.usage


def drawn(count: int, seed: int = 1) -> list[Spent]:
    """Of three days, tenants, keys and models each, with all outcomes."""
    random = Random(seed)
    return [
        spent(
            f"req_{seed}_{nth:04}",
            at=MIDNIGHT + random.randrange(3 * DAY),
            tenant=random.choice(["acme", "b.corp", "c"]),
            key=random.choice(["0123456789ab", "ab0123456789", "ffffffffffff"]),
            model=(model := random.choice(["chat", "org/code", ""])),
            version=model and f"{model}@{random.choice('12')}",
            outcome=random.choice(["success", "ignored", "failed"]),
            exact=random.random() < 0.5,
            prompt_tokens=random.randrange(1 << 31),
            completion_tokens=random.randrange(1 << 31),
            cost=random.randrange(10**13),
        )
        for nth in range(count)
    ]


async def total(table: UsageTable) -> int:
    return sum(one.requests for one in await table.sums(["tenant"], ALL, [], MANY))


async def kept(stored: Stored) -> int:
    async with stored.engine.connect() as connection:
        found: int = (await connection.execute(select(func.count()).select_from(USAGE))).scalar_one()
    return found


async def test_sums_are_those_of_the_rows_by_whatever_they_are_parted(table: UsageTable) -> None:
    rows = drawn(300)
    for first in range(0, len(rows), 70):
        await table.write(rows[first : first + 70])
    for by in (FIELDS, ["day"], ["tenant", "model"], ["version"], ["key"]):
        assert await table.sums(by, ALL, [], MANY) == added_up(rows, by)
    assert await table.sums(["model", "tenant"], ALL, [], MANY) == added_up(rows, ["tenant", "model"])


async def test_a_row_is_read_as_it_was_written(table: UsageTable) -> None:
    await table.write([spent("req_1", cost=1_500_000, exact=False, code="upstream_failed", outcome="failed")])
    (row,) = await table.rows(ALL, None, MANY)
    assert (row.id, row.at, row.tenant, row.key, row.model) == ("req_1", MIDNIGHT + 1, "acme", "0123456789ab", "chat")
    assert (row.version, row.prompt_tokens, row.completion_tokens, row.exact) == ("chat@1", 6, 4, False)
    assert (row.outcome, row.code, row.duration_ms, row.cost) == ("failed", "upstream_failed", 250, "1.500000")


async def test_the_longest_names_find_room(table: UsageTable) -> None:
    longest = spent(
        "req_" + "f" * 60, tenant="t" * 64, key="jwt:" + "%" * 124, model="m" * 128, version=f"{'m' * 128}@{'v' * 128}",
        code="c" * 64, prompt_tokens=10**9, completion_tokens=10**9, cost=2 * 10**13, duration_ms=10**9,
    )  # fmt: skip
    await table.write([longest])
    assert await table.sums(FIELDS, ALL, [], MANY) == added_up([longest], FIELDS)


async def test_what_is_written_twice_counts_once(table: UsageTable, stored: Stored) -> None:
    """As after a commit whose confirmation got lost, also with more rows that have come meanwhile."""
    rows = drawn(90)
    await table.write(rows[:60])
    await table.write(rows[:60])
    await table.write(rows)
    assert await table.sums(FIELDS, ALL, [], MANY) == added_up(rows, FIELDS)
    assert await kept(stored) == 90


async def test_what_is_written_twice_at_the_same_time_counts_once(table: UsageTable) -> None:
    """As after a write that was given up while the database still worked on it."""
    rows = drawn(200)
    await asyncio.gather(*(table.write(rows) for _ in range(4)))
    assert await table.sums(FIELDS, ALL, [], MANY) == added_up(rows, FIELDS)


async def test_sums_beside_rows_are_written_with_them_and_once(table: UsageTable) -> None:
    """They have no rows of their own to tell by."""
    rows = drawn(50)
    beside = {(date(2027, 1, 16), "acme", "0123456789ab", "chat", ""): [7, 3, 0, 0, 0]}
    await asyncio.gather(*(table.write(rows, beside) for _ in range(4)))
    await table.write(rows, beside)
    assert await total(table) == 57
    (found,) = await table.sums(["tenant"], Wanted(tenant="acme"), [], MANY)
    assert found.failed == 3 + sum(row.tenant == "acme" and row.outcome == "failed" for row in rows)


async def test_a_driver_is_given_no_more_at_a_time_than_the_loop_can_spare(table: UsageTable, stored: Stored) -> None:
    """Also of sums, of which there may be one for each row; and none is left out."""
    rows = [spent(f"req_{nth:05}", key=f"{nth:012x}") for nth in reversed(range(2 * STEP + 2))]
    beside = {(date(2027, 1, 16), "acme", f"{nth:012x}", "chat", "chat@1"): [1, 1, 0, 0, 0] for nth in range(STEP)}
    given: list[Sequence[tuple[Any, ...]]] = []

    def note(*call: Any) -> None:
        if call[-1]:
            given.append(call[3])

    event.listen(stored.engine.sync_engine, "before_cursor_execute", note)
    await table.write(rows, beside)
    assert [len(some) for some in given] == [STEP, STEP, 2] * 2, "rows, and then the sums"
    sums = [*chain(*given[3:])]
    assert sums == sorted(sums), "in one order, so that two who write can't wait for each other"
    assert (await total(table), len(await table.sums(["key"], ALL, [], 3 * STEP))) == (3 * STEP + 2, 2 * STEP + 2)


async def test_several_who_write_at_a_time_lose_nothing(table: UsageTable) -> None:
    shares = [drawn(100, seed) for seed in range(2, 8)]
    await asyncio.gather(*(table.write(share) for share in shares))
    assert await table.sums(FIELDS, ALL, [], MANY) == added_up(chain(*shares), FIELDS)


async def test_old_rows_go_in_steps_and_their_sums_stay(table: UsageTable, stored: Stored) -> None:
    rows = [spent(f"req_{nth}", at=MIDNIGHT + nth) for nth in range(10)]
    await table.write(rows)
    assert await table.prune(MIDNIGHT + 7, 5) == 5
    assert [row.id for row in await table.rows(ALL, None, MANY)] == [f"req_{nth}" for nth in range(5, 10)]
    assert await table.prune(MIDNIGHT + 7, 5) == 2
    assert await table.prune(MIDNIGHT + 7, 5) == 0
    assert (await kept(stored), await total(table)) == (3, 10)


async def test_several_may_prune_while_others_write(table: UsageTable, stored: Stored) -> None:
    await table.write(drawn(300))
    new = [spent(f"req_new_{nth}", at=MIDNIGHT + 9 * DAY) for nth in range(50)]

    async def prune() -> int:
        taken = 0
        while some := await table.prune(MIDNIGHT + 8 * DAY, 20):
            taken += some
        return taken

    *taken, _ = await asyncio.gather(prune(), prune(), prune(), table.write(new))
    assert (sum(filter(None, taken)), await kept(stored), await total(table)) == (300, 50, 350)


async def test_who_prunes_waits_for_nobody_else_who_does(postgres: PostgresServer) -> None:
    engine = connect(address(postgres.database()))
    await upgrade(engine)
    table = UsageTable(engine)
    await table.write([spent(f"req_{nth}", at=MIDNIGHT + nth) for nth in range(10)])
    async with engine.begin() as other:
        await other.execute(select(USAGE).where(USAGE.c.at < MIDNIGHT + 5).with_for_update())
        async with asyncio.timeout(PATIENCE):
            assert await table.prune(MIDNIGHT + DAY, 5) == 5
    assert [row.id for row in await table.rows(ALL, None, MANY)] == [f"req_{nth}" for nth in range(5)]
    await close(engine)


async def test_pages_follow_one_another(table: UsageTable) -> None:
    rows = drawn(200)
    await table.write(rows)
    sums = added_up(rows, ["day", "tenant", "model"])
    found = await table.sums(["day", "tenant", "model"], ALL, [], 10)
    while len(some := await table.sums(["day", "tenant", "model"], ALL, _values(found[-1]), 10)) > 0:
        found += some
    assert found == sums
    seen = await table.rows(ALL, None, 70)
    while some_rows := await table.rows(ALL, (seen[-1].at, seen[-1].id), 70):
        seen += some_rows
    assert [(row.at, row.id) for row in seen] == sorted((row.at, row.id) for row in rows)


async def test_what_is_wanted_bounds_rows_and_sums_alike(table: UsageTable) -> None:
    rows = drawn(300)
    await table.write(rows)
    middle = date(2027, 1, 17)
    cases: list[tuple[Wanted, Callable[[Spent], bool]]] = [
        (Wanted(first=middle), lambda row: row.at >= MIDNIGHT + DAY),
        (Wanted(last=middle), lambda row: row.at < MIDNIGHT + 2 * DAY),
        (Wanted(first=middle, last=middle), lambda row: MIDNIGHT + DAY <= row.at < MIDNIGHT + 2 * DAY),
        (Wanted(tenant="acme", model="org/code"), lambda row: (row.tenant, row.model) == ("acme", "org/code")),
        (Wanted(key="ffffffffffff"), lambda row: row.key == "ffffffffffff"),
        (Wanted(tenant="nobody\0\udc80"), lambda _: False),
    ]
    for wanted, holds in cases:
        of_these = [row for row in rows if holds(row)]
        assert await table.sums(FIELDS, wanted, [], MANY) == added_up(of_these, FIELDS)
        assert {row.id for row in await table.rows(wanted, None, MANY)} == {row.id for row in of_these}


async def test_what_days_cost_is_told_to_the_millionth(table: UsageTable) -> None:
    """Of a tenant, a key or a model, and of those days alone; also where it is more than a float could tell."""
    rows = [*drawn(300), *(spent(f"dear_{nth}", cost=10**17 + nth) for nth in range(9))]
    await table.write(rows)
    before, middle, whole = [date(2027, 1, 15)], [date(2027, 1, 17)], [date(2027, 1, day) for day in range(1, 32)]
    tenant, key = Wanted(tenant="acme"), Wanted(tenant="acme", key="0123456789ab")
    assert await table.costs([(before, ALL), (middle, ALL), (whole, ALL), (whole, tenant), (whole, key)]) == [
        0,
        sum(row.cost for row in rows if MIDNIGHT + DAY <= row.at < MIDNIGHT + 2 * DAY),
        sum(row.cost for row in rows),
        sum(row.cost for row in rows if row.tenant == "acme"),
        sum(row.cost for row in rows if (row.tenant, row.key) == ("acme", "0123456789ab")),
    ]
    assert await table.costs([(whole, Wanted(tenant="c", model="org/code"))]) == [
        sum(row.cost for row in rows if (row.tenant, row.model) == ("c", "org/code"))
    ]


def _values(found: object) -> list[object]:
    return [value for field in FIELDS if (value := getattr(found, field)) is not None]

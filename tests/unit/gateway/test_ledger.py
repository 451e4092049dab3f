"""What requests have used gets into the database once, whatever becomes of it meanwhile, and old rows get out of it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from gateway.charging import MOST
from gateway.config import check
from gateway.config.ledger import Ledger as Options
from gateway.config.ledger import PriceSpec
from gateway.ledger import BATCH, STEP, Ledger
from gateway.store.bounded import BoundedRegistry
from gateway.store.database import address
from gateway.store.spending import DAY
from gateway.wiring import build
from security.limits.api import LimitsAway
from security.limits.budget import Budget
from tests.support.databases import PostgresServer
from tests.support.gateway import configuration, metric
from tests.support.ledgers import (
    MIDNIGHT,
    NEVER,
    SOON,
    bring_back,
    counted,
    ended,
    events,
    take_away,
    written,
)  # fmt: skip
from tests.support.stored import Clock, KeyBook
from tests.support.waiting import until, until_told

PRICES = (
    PriceSpec(model="chat", input="0.5", output="1.5"),
    PriceSpec(model="chat", since="2027-01-16", input="1", output="3"),
)


async def test_a_request_is_written_with_what_it_cost_when_it_came_in(registry: BoundedRegistry) -> None:
    ledger = Ledger(NEVER.model_copy(update={"prices": PRICES}), registry, Clock())
    async with ledger.kept():
        ledger.keep([ended(1, MIDNIGHT - 1), ended(2, MIDNIGHT), ended(3, key="")])
    before, after = await written(registry)
    assert (before.id, before.at, before.cost) == ("req_00001", MIDNIGHT - 1, "0.001250")
    assert (after.id, after.at, after.cost) == ("req_00002", MIDNIGHT, "0.002500")
    assert (after.model, after.version, after.tenant, after.key) == ("alias", "chat@2", "acme", "0123456789ab")
    assert (after.prompt_tokens, after.completion_tokens, after.exact, after.duration_ms) == (1000, 500, True, 500)
    assert (after.outcome, after.code, ledger.written, ledger.lost) == ("success", "", 2, 0)


async def test_what_was_spent_is_told_with_what_waits_to_be_written_each_once(registry: BoundedRegistry) -> None:
    ledger = Ledger(NEVER.model_copy(update={"prices": PRICES}), registry, Clock())
    holders = [(("tenant", "acme"),), (("tenant", "acme"), ("key", "other")), (("tenant", "acme"), ("model", "alias"))]
    day = [Budget(f"d{nth}", 1, "day", MIDNIGHT, MIDNIGHT + DAY, holder) for nth, holder in enumerate(holders)]
    month = [Budget("m", 1, "month", MIDNIGHT - 15 * DAY, MIDNIGHT + 16 * DAY, holders[0])]
    async with ledger.kept():
        ledger.keep([ended(1, MIDNIGHT - 1), ended(2, MIDNIGHT)])
        told = await asyncio.gather(*(ledger.spent([*day, *month]) for _ in range(5)))
        assert told == [[2500, 0, 2500, 3750]] * 5
        ledger.keep([ended(3, MIDNIGHT + 1)])
        assert await ledger.spent(day[:1]) == [5000]
    assert ledger.written == 3


async def test_what_was_spent_can_t_be_told_while_the_database_is_away(
    registry: BoundedRegistry, ledger_file: Path
) -> None:
    ledger = Ledger(NEVER, registry, Clock())
    async with ledger.kept():
        take_away(ledger_file)
        with pytest.raises(LimitsAway):
            await ledger.spent([Budget("d", 1, "day", MIDNIGHT, MIDNIGHT + DAY, (("tenant", "acme"),))])
        bring_back(ledger_file)


async def test_a_broken_answer_has_had_its_prompt_and_a_refused_request_nothing(registry: BoundedRegistry) -> None:
    broken, refused, odd = ended(1, outcome="ignored"), ended(2, outcome="failed"), ended(3)
    broken.use(0, 7, exact=False)
    broken.prompt = refused.prompt = 30
    refused.use(0, 0, exact=False)
    refused.first_at, refused.code = 0.0, "Überlastet: 'quoted prompt'"
    odd.use(1 << 52, 1 << 52, exact=True)
    ledger = Ledger(NEVER, registry, Clock())
    async with ledger.kept():
        ledger.keep([broken, refused, odd])
    rows = await written(registry)
    assert [(row.prompt_tokens, row.completion_tokens, row.exact) for row in rows] == [
        (30, 7, False), (0, 0, False), (MOST, MOST, True),
    ]  # fmt: skip
    assert [row.code for row in rows] == ["", "other", ""]


@pytest.mark.parametrize(("attempts", "prompt"), [(0, 0), (1, 30)], ids=["in the queue", "at a model server"])
async def test_who_left_before_any_content_has_had_the_prompt_read(
    registry: BoundedRegistry, attempts: int, prompt: int
) -> None:
    left = ended(outcome="ignored")
    left.use(0, 0, exact=False)
    left.first_at, left.client_gone, left.prompt, left.attempts = 0.0, True, 30, attempts
    ledger = Ledger(NEVER, registry, Clock())
    async with ledger.kept():
        ledger.keep([left])
    assert [row.prompt_tokens for row in await written(registry)] == [prompt]


async def test_it_is_written_while_the_gateway_runs(registry: BoundedRegistry) -> None:
    ledger = Ledger(SOON, registry, Clock())
    async with ledger.kept():
        ledger.keep([ended(nth) for nth in range(2 * BATCH + 1)])
        await until(lambda: ledger.written == 2 * BATCH + 1)
        ledger.keep([ended(2 * BATCH + 1)])
        await until(lambda: ledger.written == 2 * BATCH + 2)
    assert len(await written(registry)) == await counted(registry) == 2 * BATCH + 2


async def test_what_comes_while_the_database_is_away_is_written_on_its_return(
    registry: BoundedRegistry, ledger_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snowshed")
    take_away(ledger_file)
    ledger = Ledger(SOON, registry, Clock())
    async with ledger.kept():
        ledger.keep([ended(1)])
        await until(ledger.warnings)
        ledger.keep([ended(2)])
        assert ledger.warnings() == ["usage is not written: FileNotFoundError"]
        bring_back(ledger_file)
        await until(lambda: ledger.written == 2)
        await until(lambda: not ledger.warnings())
    assert await counted(registry) == 2
    assert events(caplog) == ["usage not written", "usage written again"]


async def test_more_than_there_is_room_for_is_lost_and_told(
    registry: BoundedRegistry, ledger_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    take_away(ledger_file)
    ledger = Ledger(Options(every=0.01, buffer=1000), registry, Clock())
    async with ledger.kept():
        ledger.keep([ended(nth) for nth in range(600)])
        await until(ledger.warnings)
        ledger.keep([ended(nth) for nth in range(600, 1200)])
        ledger.keep([ended(5000)])
        assert metric("".join(ledger.lines()), "snowshed_ledger_lost_total") == ledger.lost == 201
        bring_back(ledger_file)
        await until(lambda: ledger.written == 1000)
    assert [row.id for row in await written(registry)] == [f"req_{nth:05}" for nth in range(1000)]
    assert events(caplog).count("usage lost") == 1


async def test_what_can_not_be_written_at_the_end_is_told(
    registry: BoundedRegistry, ledger_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    take_away(ledger_file)
    ledger = Ledger(NEVER, registry, Clock())
    async with ledger.kept():
        ledger.keep([ended(1), ended(2)])
    assert events(caplog) == ["usage not written", "usage lost"]
    assert (ledger.lost, [record.__dict__.get("requests") for record in caplog.records]) == (2, [None, 2])
    bring_back(ledger_file)  # which no other one that was made in its place keeps from being read
    assert await written(registry) == []


async def test_what_comes_after_the_end_is_lost_and_told(
    registry: BoundedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(NEVER, registry, Clock())
    async with ledger.kept():
        pass
    ledger.keep([ended(1), ended(2, key="")])
    assert (ledger.lost, events(caplog)) == (1, ["usage lost"])


async def test_tables_of_an_earlier_version_are_told_and_waited_for(postgres: PostgresServer) -> None:
    """Of a file they are brought up to date at the start; a server's wait for `snowshed migrate`."""
    url = postgres.database()
    own = BoundedRegistry(address(url), Clock())
    ledger = Ledger(SOON, own, Clock())
    async with ledger.kept():
        ledger.keep([ended(1)])
        await until(lambda: ledger.warnings() == ["usage is not written: UndefinedTableError"])
        await asyncio.to_thread(KeyBook, url)
        await until(lambda: ledger.written == 1)


async def test_rows_go_when_they_are_old_and_sums_stay(registry: BoundedRegistry) -> None:
    wall = Clock(MIDNIGHT + 7 * DAY + 1)
    ledger = Ledger(SOON, registry, wall)
    async with ledger.kept():
        ledger.keep([ended(nth, MIDNIGHT) for nth in range(STEP + 1)])
        ledger.keep([ended(9999, MIDNIGHT + 2)])
        await until(lambda: ledger.written == STEP + 2)
        wall.now += 61  # the first look may have been before they came
        ledger.keep([ended(9998, MIDNIGHT + DAY)])
        await until_told(lambda: written(registry), lambda rows: [row.id for row in rows] == ["req_09998"])
    assert await counted(registry) == STEP + 3


async def test_what_ends_with_the_gateway_is_written_and_what_others_leave_undone_keeps_nobody(
    ledger_file: Path,
) -> None:
    """Between the last beat and the end, and with a loop's end that cancels whoever waits."""
    auth = {"kind": "keys", "sqlite": str(ledger_file)}
    gateway = build(check(configuration(auth=auth, admin={"port": 0}), "test"), ledger_file.parent)
    async with gateway.running():
        with gateway.edge.accounts.open(ended(1)):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
    registry = BoundedRegistry(address(f"sqlite:///{ledger_file}"), Clock())
    assert [row.id for row in await written(registry)] == ["req_00001"]
    await registry.aclose()


def test_nobody_without_keys_has_a_ledger(tmp_path: Path) -> None:
    gateway = build(check(configuration(), "test"), tmp_path)
    assert (gateway.ledger, gateway.admin) == (None, None)


def test_a_model_has_one_price_a_day() -> None:
    with pytest.raises(ValueError, match="different days"):
        Options(prices=(PRICES[0], PRICES[0]))

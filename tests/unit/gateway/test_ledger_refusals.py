"""Of refused requests the ledger keeps what they add up to, exactly, and a few rows: a flood fills no disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.accounts import Outcome, Record
from gateway.config.ledger import Ledger as Options
from gateway.ledger import BATCH, Ledger
from gateway.store.bounded import BoundedRegistry
from gateway.store.database import address
from gateway.store.registry import Registry
from gateway.store.spending import Wanted
from security.api import StoreAway
from tests.support.gateway import metric
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
from tests.support.stored import Clock
from tests.support.waiting import until

T = TypeVar("T")


def refused(nth: int, at: int = MIDNIGHT, outcome: Outcome = "ignored") -> Record:
    """Before a model server was asked."""
    record = ended(nth, at, outcome=outcome)
    record.use(0, 0, exact=False)
    record.attempts, record.first_at, record.code = 0, 0.0, "rate_limit_exceeded"
    return record


class Unsure(BoundedRegistry):
    """Whose first change is made, and not confirmed."""

    unsure = True

    async def ask(self, work: Callable[[Registry], Awaitable[T]]) -> T:
        done = await super().ask(work)
        if self.unsure:
            self.unsure = False
            raise StoreAway("TimeoutError")
        return done


async def test_a_flood_of_refusals_is_in_the_sums_and_fills_no_disk(registry: BoundedRegistry) -> None:
    ledger = Ledger(NEVER, registry, Clock())
    async with ledger.kept():
        ledger.keep([refused(nth, outcome="failed" if nth % 2 else "ignored") for nth in range(3 * BATCH)])
        ledger.keep([ended(9999)])
        assert metric("".join(ledger.lines()), "snowshed_ledger_waiting") == 3 * BATCH + 1
    assert [(row.id, row.code) for row in await written(registry)] == [
        ("req_00000", "rate_limit_exceeded"), ("req_09999", ""),
    ]  # fmt: skip
    (found,) = await registry.ask(lambda them: them.usage.sums(["tenant"], Wanted(), [], 10))
    assert (found.requests, found.failed, found.prompt_tokens) == (3 * BATCH + 1, 3 * BATCH // 2, 1000)
    assert (ledger.written, ledger.lost) == (3 * BATCH + 1, 0)


async def test_what_failed_at_a_model_server_has_a_row(registry: BoundedRegistry) -> None:
    asked = [refused(nth, outcome="failed") for nth in range(3)]
    for record in asked:
        record.attempts = 1
    ledger = Ledger(NEVER, registry, Clock())
    async with ledger.kept():
        ledger.keep(asked)
    assert len(await written(registry)) == 3


async def test_refusals_of_a_write_that_was_not_confirmed_count_once(ledger_file: Path) -> None:
    registry = Unsure(address(f"sqlite:///{ledger_file}"), Clock())
    ledger = Ledger(SOON, registry, Clock())
    async with ledger.kept():
        ledger.keep([ended(0), *map(refused, range(1, 100))])
        await until(lambda: not registry.unsure)
        ledger.keep([ended(100), *map(refused, range(101, 200))])
        await until(lambda: ledger.written == 200)
    assert await counted(registry) == 200
    assert [row.id for row in await written(registry)] == ["req_00000", "req_00001", "req_00100", "req_00101"]
    await registry.aclose()


async def test_refusals_are_kept_while_the_database_is_away_and_take_no_room_from_others(
    registry: BoundedRegistry, ledger_file: Path
) -> None:
    take_away(ledger_file)
    ledger = Ledger(Options(every=0.01, buffer=1000), registry, Clock())
    async with ledger.kept():
        ledger.keep([refused(nth) for nth in range(5000)])
        await until(ledger.warnings)
        ledger.keep([refused(nth) for nth in range(5000, 6000)])
        ledger.keep([ended(nth) for nth in range(6000, 6998)])
        bring_back(ledger_file)
        await until(lambda: ledger.written == 6998)
    assert (await counted(registry), ledger.lost) == (6998, 0)


async def test_more_refusals_than_there_are_sums_for_are_lost_and_told(
    registry: BoundedRegistry, ledger_file: Path
) -> None:
    """Their holders are as many as the issuer of tokens likes."""
    take_away(ledger_file)
    ledger = Ledger(Options(every=0.01, buffer=1000), registry, Clock())
    async with ledger.kept():
        records = [refused(nth) for nth in range(1100)]
        for nth, record in enumerate(records):
            record.key = f"jwt:{nth}"
        ledger.keep(records)
        assert ledger.lost == 99
        bring_back(ledger_file)
        await until(lambda: ledger.written == 1001)


async def test_refusals_that_are_not_written_at_the_end_are_lost_and_told(
    registry: BoundedRegistry, ledger_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    take_away(ledger_file)
    ledger = Ledger(SOON, registry, Clock())
    async with ledger.kept():
        ledger.keep(list(map(refused, range(5))))
        await until(ledger.warnings)
        ledger.keep(list(map(refused, range(5, 8))))
    assert (ledger.lost, events(caplog)) == (8, ["usage not written", "usage lost"])

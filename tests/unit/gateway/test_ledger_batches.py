"""How much of the ledger is written at a time: less, where the database fails at it; and once all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from gateway.accounts import Record
from gateway.ledger import LEAST, Ledger
from gateway.store.bounded import BoundedRegistry
from gateway.store.database import address
from gateway.store.registry import Registry
from security.api import StoreAway
from tests.support.databases import PostgresServer
from tests.support.ledgers import MIDNIGHT, SOON, counted, ended, written
from tests.support.stored import Clock, KeyBook
from tests.support.waiting import until

T = TypeVar("T")
MANY, REFUSED = 5 * LEAST, 9
NO_MORE = f"""
CREATE FUNCTION no_more() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE rows int := coalesce(nullif(current_setting('test.rows', true), ''), '0')::int + 1;
BEGIN
  IF rows > {LEAST + LEAST // 2} THEN RAISE 'too many at a time'; END IF;
  PERFORM set_config('test.rows', rows::text, true);
  RETURN NEW;
END $$;
CREATE TRIGGER no_more BEFORE INSERT ON usage FOR EACH ROW EXECUTE FUNCTION no_more();
"""
"""Half as many more than LEAST in one transaction, and it fails."""


class Forgetful(BoundedRegistry):
    """Of its first change nobody hears that it was made."""

    def __init__(self, file: Path) -> None:
        super().__init__(address(f"sqlite:///{file}"), Clock())
        self.told = False

    async def ask(self, work: Callable[[Registry], Awaitable[T]]) -> T:
        answer = await super().ask(work)
        if not self.told:
            self.told = True
            raise StoreAway("TimeoutError")
        return answer


def refused(nth: int) -> Record:
    """A sum takes it in, but for the first one, which has a row."""
    record = ended(nth, outcome="failed")
    record.attempts = 0
    return record


def keep_many(ledger: Ledger) -> None:
    ledger.keep([*(ended(nth, MIDNIGHT) for nth in range(MANY)), *(refused(MANY + nth) for nth in range(1 + REFUSED))])


async def test_a_database_that_fails_at_so_much_at_a_time_is_given_less(postgres: PostgresServer) -> None:
    """Or nothing would ever be written any more: each attempt would end as the one before."""
    book = KeyBook(postgres.database())
    assert postgres.execute(NO_MORE, address(book.url).database or "")
    registry = BoundedRegistry(address(book.url), Clock())
    ledger = Ledger(SOON, registry, Clock())
    async with ledger.kept():
        keep_many(ledger)
        await until(lambda: ledger.written == MANY + 1 + REFUSED)
    assert (ledger.lost, await counted(registry)) == (0, MANY + 1 + REFUSED)
    await registry.aclose()


async def test_what_was_written_unconfirmed_and_is_tried_in_parts_counts_once(ledger_file: Path) -> None:
    """So do requests without rows that came meanwhile: they go with none of which it is known that they are there."""
    registry = Forgetful(ledger_file)
    ledger = Ledger(SOON, registry, Clock())
    async with ledger.kept():
        keep_many(ledger)
        await until(lambda: registry.told)
        ledger.keep([refused(2 * MANY + nth) for nth in range(1 + REFUSED)])
        await until(lambda: ledger.written == MANY + 2 * (1 + REFUSED))
    assert (await counted(registry), len(await written(registry))) == (MANY + 2 * (1 + REFUSED), MANY + 2)
    await registry.aclose()

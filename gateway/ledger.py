"""Writes down what requests have used, a row for each, in batches and beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import replace

from gateway.accounts import Record
from gateway.charging import paid, priced
from gateway.config.ledger import Ledger as Options
from gateway.exposition import family
from gateway.pricing import PriceList
from gateway.refusals import Refusals, is_refused
from gateway.store.bounded import BoundedRegistry
from gateway.store.registry import Registry
from gateway.store.spending import DAY, NONE, Spent, Sums, Wanted, day_of
from gateway.tallies import code_label
from security.api import StoreAway
from security.limits.api import LimitsAway
from security.limits.budget import Budget
from security.limits.limiter import AWAY

_logger = logging.getLogger("snowshed")

BATCH: Final = 10_000
"""Rows of one transaction: to begin and to end one costs what a few hundred rows do."""
LEAST: Final = 1000
"""The same where the database has failed at more: to take too long for it is one way to."""
STEP, STEPS = 500, 10
"""Old rows that are taken away at a time, and how many times running: more than are written in between."""
LOOK: Final = 60.0
"""Seconds until the next look for old rows, once there are none."""


class _Batch(NamedTuple):
    """Rows, and the sums of so many refused requests that have none."""

    rows: Sequence[Spent]
    sums: Sums
    refused: int


class Ledger:
    """Of those who have a key. `keep` and `lines` never wait; `wall` gives Unix time; the registry is its own.

    What is kept when the process is killed, and not yet written, is lost: what ended in the last `every` seconds.
    """

    def __init__(self, options: Options, registry: BoundedRegistry, wall: Callable[[], float]) -> None:
        self._options = options
        self._prices = PriceList(spec.price for spec in options.prices)
        self._registry = registry
        self._wall = wall
        self._rows: list[Spent] = []
        self._refusals = Refusals(options.buffer)
        self._shown = False  # whether a refusal that came since the last batch has a row
        self._batches: list[_Batch] = []  # tried in their order, each until it is known to be written
        self._size = BATCH
        self._one_at_a_time = asyncio.Lock()
        self._most = options.buffer
        self._look_at = 0.0
        self._trouble = ""
        self._losing = False
        self.written = 0
        self.lost = 0

    def __repr__(self) -> str:
        trouble = self._trouble and f"; {self._trouble}"
        return f"<Ledger {self.written} written, {self._waiting} waiting, {self.lost} lost{trouble}>"

    def keep(self, records: Sequence[Record]) -> None:
        """Requests that have ended. Where there is no room left, those that are in it stay, and these are lost."""
        lost = 0
        for record in records:
            if not record.key:
                continue
            row, refused = self._row(record), is_refused(record)
            if refused and self._shown:
                lost += not self._refusals.add(row)
            elif len(self._rows) < self._most:
                self._rows.append(row)
                self._shown |= refused
            else:
                lost += 1
        self._lose(lost)

    async def spent(self, budgets: Sequence[Budget]) -> Sequence[int]:
        """Millionths that have been written down in each budget's period of whose it is, what waits here among them.

        Raises LimitsAway.
        """
        asked = [
            ([day_of(at) for at in range(one.begins, one.ends, DAY)], replace(Wanted(), **dict(one.holder)))
            for one in budgets
        ]
        try:
            await self._write()
            return await self._registry.ask(lambda them: them.usage.costs(asked))
        except StoreAway:
            raise LimitsAway(AWAY) from None

    def warnings(self) -> list[str]:
        """What is wrong with it, for the readiness probe: no reason to send requests elsewhere."""
        return [f"usage is not written: {self._trouble}"] if self._trouble else []

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        written = "Requests whose usage was written into the database."
        yield from family("counter", "snowshed_ledger_written_total", written, [("", self.written)])
        lost = "Requests whose usage was lost, as the database was away for too long."
        yield from family("counter", "snowshed_ledger_lost_total", lost, [("", self.lost)])
        waiting = "Requests whose usage is to be written yet."
        yield from family("gauge", "snowshed_ledger_waiting", waiting, [("", self._waiting)])

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """It is written from here on, and what is left at the end."""
        writing = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            writing.cancel()  # what it is at goes on, and what it does not confirm is written twice, and counted once
            await asyncio.wait([writing])
            await self._try(self._write)
            self._losing = False
            self._lose(self._waiting)
            self._refusals, self._batches = Refusals(0), []
            self._rows, self._most = [], 0  # what ends after this, as requests do that are cut, is lost as well
            await self._registry.aclose()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._options.every)
            await self._try(self._write, self._prune)

    async def _try(self, *steps: Callable[[], Awaitable[None]]) -> None:
        try:
            for step in steps:
                await step()
        except StoreAway as away:
            self._tell(str(away))
        except Exception:  # a mistake of ours must not end the process
            _logger.exception("usage not written")
        else:
            self._tell("")

    async def _write(self) -> None:
        """Raises StoreAway; what may have been written all the same is tried again, and then found to be there."""
        async with self._one_at_a_time:
            while self._batches or self._cut():
                batch = self._batches[0]
                try:
                    await self._registry.ask(partial(_write, batch))
                except StoreAway:
                    self._part()
                    raise
                del self._batches[0], self._rows[: len(batch.rows)]
                self.written += len(batch.rows) + batch.refused
                self._size = min(BATCH, self._size + LEAST // 10)

    def _cut(self) -> bool:
        """Whether there is something to write next: always with a row, by which it is told whether it was written."""
        if not self._rows:
            return False
        self._shown = False
        self._batches.append(_Batch(self._rows[: self._size], *self._refusals.take()))
        return True

    def _part(self) -> None:
        """Try half as much next. What has come since goes with neither half: they may be there."""
        batch = self._batches[0]
        if len(batch.rows) > LEAST:
            size = self._size = max(LEAST, len(batch.rows) // 2)
            self._batches[:1] = [batch._replace(rows=batch.rows[:size]), _Batch(batch.rows[size:], NONE, 0)]

    @property
    def _waiting(self) -> int:
        """Requests."""
        return len(self._rows) + self._refusals.count + sum(batch.refused for batch in self._batches)

    async def _prune(self) -> None:
        """Raises StoreAway."""
        now = self._wall()
        if now < self._look_at:
            return
        before = int(now) - self._options.keep_days * DAY
        for _ in range(STEPS):
            if await self._registry.ask(lambda them: them.usage.prune(before, STEP)) < STEP:
                self._look_at = now + LOOK
                return

    def _row(self, record: Record) -> Spent:
        prompt, completion = paid(record)
        return Spent(
            record.id,
            record.unix_ms // 1000,
            record.tenant,
            record.key,
            record.model,
            record.version,
            prompt,
            completion,
            record.usage_exact,
            record.outcome,
            code_label(record.code) if record.code else "",
            int((record.ended_at - record.headers_at) * 1000),
            priced(record, self._prices, prompt, completion),
        )

    def _lose(self, rows: int) -> None:
        """Told once, until it is over."""
        if rows > 0:
            if not self._losing:
                _logger.error("usage lost", extra={"requests": rows})
            self._losing = True
            self.lost += rows

    def _tell(self, trouble: str) -> None:
        """Once, as long as it is the same."""
        if trouble and trouble != self._trouble:
            _logger.warning("usage not written", extra={"reason": trouble, "waiting": self._waiting})
        if self._trouble and not trouble:
            _logger.info("usage written again", extra={"lost": self.lost})
            self._losing = False
        self._trouble = trouble


async def _write(batch: _Batch, registry: Registry) -> None:
    await registry.usage.write(batch.rows, batch.sums)

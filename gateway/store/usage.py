"""The ledger's tables: rows and sums written together, each once; pruned in steps; read in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Final, TypeVar

from msgspec.structs import astuple
from sqlalchemy import Select, delete, func, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.pricing import decimal
from gateway.store.database import comparable
from gateway.store.spending import (
    COUNTS,
    DAY,
    FIELDS,
    NONE,
    Seen,
    Spent,
    Sum,
    Sums,
    Wanted,
    add_up,
    in_order,
    start_of,
)  # fmt: skip
from gateway.store.tables import USAGE, USAGE_DAYS

T = TypeVar("T")
STEP: Final = 1000
"""Rows or sums that a driver is given at a time: it makes them up on the loop, which takes that a few milliseconds."""


class UsageTable:
    """Raises SQLAlchemy's errors. Several processes may write and prune at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        is_sqlite = engine.dialect.name == "sqlite"
        sums = (sqlite if is_sqlite else postgresql).insert(USAGE_DAYS)
        raised = {name: USAGE_DAYS.c[name] + sums.excluded[name] for name in COUNTS}
        # As texts: looking at each value's type would cost the loop a multiple of all else.
        self._add = str(insert(USAGE).compile(dialect=engine.dialect))
        self._sum_up = str(
            sums.on_conflict_do_update(index_elements=FIELDS, set_=raised).compile(dialect=engine.dialect)
        )
        self._day: Callable[[date], str | date] = str if is_sqlite else _itself

    def __repr__(self) -> str:
        return f"<UsageTable in {self._engine.url.render_as_string()}>"

    async def write(self, rows: Sequence[Spent], beside: Sums = NONE) -> None:
        """All or none. Those that are there, of a time when that was not confirmed, add nothing to the sums.

        `beside`: sums of requests that get no rows. They were written with the rows that they came with: where one of
        those is there, they add nothing.
        """
        left = rows
        while left:
            try:
                await self._add_all(left, beside)
            except IntegrityError:
                new = await self._without_those_there(left)
                if len(new) == len(left):
                    raise
                left, beside = new, NONE
            else:
                left = []

    async def _add_all(self, rows: Sequence[Spent], beside: Sums) -> None:
        """Raises IntegrityError if one is there, having waited for who is about to write it."""
        async with self._engine.begin() as connection:
            sums = dict(beside)
            for some in _parts(rows):
                await connection.exec_driver_sql(self._add, list(map(astuple, some)))
                add_up(sums, some)
            # In one order, so that two who write can't wait for each other.
            for parts in _parts(sorted(sums)):
                raised = [(self._day(of[0]), *of[1:], *sums[of]) for of in parts]
                await connection.exec_driver_sql(self._sum_up, raised)

    async def _without_those_there(self, rows: Sequence[Spent]) -> list[Spent]:
        there: set[str] = set()
        async with self._engine.connect() as connection:
            for some in _parts(rows):
                times = [row.at for row in some]
                of_them = USAGE.c.at.between(min(times), max(times)), USAGE.c.id.in_([row.id for row in some])
                there.update(await connection.scalars(select(USAGE.c.id).where(*of_them)))
        return [row for row in rows if row.id not in there]

    async def prune(self, before: int, most: int) -> int:
        """Take away at most so many rows of requests from before that time; the sums stay. Gives how many."""
        # Each takes those that nobody else is at: they neither wait for one another nor lock in another order.
        row = USAGE.c.at, USAGE.c.id
        old = select(*row).where(USAGE.c.at < before).order_by(*row).limit(most).with_for_update(skip_locked=True)
        pruning = delete(USAGE).where(tuple_(*row).in_(old))
        async with self._engine.begin() as connection:
            return (await connection.execute(pruning)).rowcount

    async def sums(self, by: Sequence[str], of: Wanted, after: Sequence[Any], limit: int) -> list[Sum]:
        """Parted by some of FIELDS and in their order, all behind the one whose values are `after`, if there are any.

        Of a day that goes on, what has been written by now.
        """
        parts = [USAGE_DAYS.c[field] for field in in_order(by)]
        counts = [func.sum(USAGE_DAYS.c[name]).label(name) for name in COUNTS]
        query = _matching(select(*parts, *counts), USAGE_DAYS.c, of)
        if of.first is not None:
            query = query.where(USAGE_DAYS.c.day >= of.first)
        if of.last is not None:
            query = query.where(USAGE_DAYS.c.day <= of.last)
        if after:
            query = query.where(tuple_(*parts) > tuple_(*map(_comparable, after)))
        async with self._engine.connect() as connection:
            found = await connection.execute(query.group_by(*parts).order_by(*parts).limit(limit))
        return [_sum(row._mapping) for row in found]  # noqa: SLF001  # public, in spite of its name

    async def costs(self, asked: Iterable[tuple[Sequence[date], Wanted]]) -> list[int]:
        """Millionths that requests of these days cost together, for each that is asked, as far as they are written."""
        cost = select(func.sum(USAGE_DAYS.c.cost))
        async with self._engine.connect() as connection:
            found = [
                await connection.scalar(_matching(cost, USAGE_DAYS.c, of).where(USAGE_DAYS.c.day.in_(days)))
                for days, of in asked
            ]
        return [int(one or 0) for one in found]  # PostgreSQL makes decimals of them

    async def rows(self, of: Wanted, after: tuple[int, str] | None, limit: int) -> list[Seen]:
        """By time, of those that are kept still; behind the one with that time and id."""
        query = _matching(select(USAGE), USAGE.c, of)
        if of.first is not None:
            query = query.where(USAGE.c.at >= start_of(of.first))
        if of.last is not None:
            query = query.where(USAGE.c.at < start_of(of.last) + DAY)
        if after is not None:
            query = query.where(tuple_(USAGE.c.at, USAGE.c.id) > tuple_(*map(_comparable, after)))
        async with self._engine.connect() as connection:
            found = await connection.execute(query.order_by(USAGE.c.at, USAGE.c.id).limit(limit))
        return [Seen(**{**row._mapping, "cost": decimal(row.cost)}) for row in found]  # noqa: SLF001  # as above


def _parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[first : first + STEP] for first in range(0, len(rows), STEP))


def _itself(day: date) -> date:
    return day


def _matching(query: Select[Any], columns: Any, of: Wanted) -> Select[Any]:
    asked = {"tenant": of.tenant, "key": of.key, "model": of.model}
    return query.where(*(columns[name] == comparable(value) for name, value in asked.items() if value is not None))


def _comparable(value: Any) -> Any:
    return comparable(value) if isinstance(value, str) else value


def _sum(row: Any) -> Sum:
    """PostgreSQL makes decimals of sums of integers."""
    counts = {name: int(row[name]) for name in COUNTS}
    parts = {field: row[field] for field in FIELDS if field in row}
    return Sum(**{**parts, **counts, "cost": decimal(counts["cost"])})

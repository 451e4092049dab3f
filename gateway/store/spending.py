"""What requests used, as it is kept and as those who run the gateway read it; knows nothing of SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from operator import add, attrgetter
from typing import Any, Final

import msgspec

FIELDS: Final = ("day", "tenant", "key", "model", "version")
"""What sums can be made by, in the order in which they come."""
COUNTS: Final = ("requests", "failed", "prompt_tokens", "completion_tokens", "cost")
"""What they tell."""
Sums = Mapping[tuple[Any, ...], Sequence[int]]
"""COUNTS by what FIELDS are."""
NONE: Final[Sums] = {}
EPOCH: Final = date(1970, 1, 1).toordinal()
DAY: Final = 86400


class Spent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one request used: a row of the ledger.

    `at`: when it came in, in Unix seconds. `exact`: whether the model server counted its tokens. `cost`: millionths of
    the unit that prices are in.
    """

    id: str
    at: int
    tenant: str
    key: str
    model: str
    version: str
    prompt_tokens: int
    completion_tokens: int
    exact: bool
    outcome: str
    code: str
    duration_ms: int
    cost: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A row, as it is read: `cost` is a decimal, in the unit that prices are in."""

    id: str
    at: int
    tenant: str
    key: str
    model: str
    version: str
    prompt_tokens: int
    completion_tokens: int
    exact: bool
    outcome: str
    code: str
    duration_ms: int
    cost: str


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """What requests used together. A field of FIELDS that they were not parted by is None; days are those of UTC."""

    day: date | None = None
    tenant: str | None = None
    key: str | None = None
    model: str | None = None
    version: str | None = None
    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cost: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests: from the beginning of a day to the end of another one, of one tenant, key or model, or of all."""

    first: date | None = None
    last: date | None = None
    tenant: str | None = None
    key: str | None = None
    model: str | None = None


def in_order(by: Sequence[str]) -> list[str]:
    """Those of FIELDS that are named, each once."""
    return [field for field in FIELDS if field in by]


def parted(found: Sum, by: Sequence[str]) -> list[date | str]:
    """Its values of those fields, in order: what is unlike in each of the sums."""
    return [getattr(found, field) for field in in_order(by)]


def day_of(at: int) -> date:
    """Of UTC, at a time in Unix seconds."""
    return date.fromordinal(EPOCH + at // DAY)


def start_of(day: date) -> int:
    """In Unix seconds."""
    return (day.toordinal() - EPOCH) * DAY


def fields_of(row: Spent) -> tuple[Any, ...]:
    """What it has of FIELDS."""
    return day_of(row.at), row.tenant, row.key, row.model, row.version


def add_up(sums: dict[tuple[Any, ...], Sequence[int]], rows: Sequence[Spent]) -> None:
    """Add them to the sums: a thousand take a few milliseconds, also of as many keys."""
    alike: defaultdict[tuple[Any, ...], list[Spent]] = defaultdict(list)
    for day, of, row in zip([row.at // DAY for row in rows], map(_of, rows), rows, strict=True):
        alike[day, of].append(row)
    for (day, of), some in alike.items():
        whole, counts = (day_of(day * DAY), *of), _counts(some)
        before = sums.get(whole)
        sums[whole] = counts if before is None else list(map(add, before, counts))


def _counts(rows: Sequence[Spent]) -> Sequence[int]:
    """COUNTS; column by column, which takes C a tenth of the time that it would take us row by row."""
    failed = [*map(_outcome, rows)].count("failed")
    return [len(rows), failed, sum(map(_prompt, rows)), sum(map(_completion, rows)), sum(map(_cost, rows))]


_of = attrgetter(*FIELDS[1:])
_outcome, _cost = attrgetter("outcome"), attrgetter("cost")
_prompt, _completion = attrgetter("prompt_tokens"), attrgetter("completion_tokens")

"""Rows of the ledger for tests, and sums of them made in another way than the product's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.accounts import Outcome, Record
from gateway.config.ledger import Ledger as Options
from gateway.pricing import decimal
from gateway.store.bounded import BoundedRegistry
from gateway.store.spending import FIELDS, Seen, Spent, Sum, Wanted

MIDNIGHT = 1_800_057_600
"""2027-01-16, 00:00 UTC."""
SOON, NEVER = Options(every=0.01), Options(every=86400)
"""When a ledger is written."""


def spent(request_id: str, **fields: Any) -> Spent:
    """A request of ten tokens that cost 0.000012, a second after midnight."""
    given: dict[str, Any] = {
        "at": MIDNIGHT + 1, "tenant": "acme", "key": "0123456789ab", "model": "chat", "version": "chat@1",
        "prompt_tokens": 6, "completion_tokens": 4, "exact": True, "outcome": "success", "code": "", "duration_ms": 250,
        "cost": 12,
    }  # fmt: skip
    return Spent(request_id, **(given | fields))


def added_up(rows: Iterable[Spent], by: Iterable[str]) -> list[Sum]:
    """In order, with all that the product tells."""
    counts: dict[tuple[Any, ...], Counter[str]] = {}
    for row in rows:
        day = datetime.fromtimestamp(row.at, UTC).date()
        every = dict(zip(FIELDS, (day, row.tenant, row.key, row.model, row.version), strict=True))
        counts.setdefault(tuple(every[field] for field in by), Counter()).update(
            requests=1,
            failed=int(row.outcome == "failed"),
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            cost=row.cost,
        )
    return [_sum(dict(zip(by, of, strict=True)), sums) for of, sums in sorted(counts.items())]


def _sum(parts: dict[str, Any], counts: Counter[str]) -> Sum:
    told: dict[str, Any] = {**parts, **counts, "cost": decimal(counts["cost"])}
    return Sum(**told)


def take_away(file: Path) -> None:
    file.rename(file.with_name("away.db"))


def bring_back(file: Path) -> None:
    file.with_name("away.db").rename(file)


def ended(nth: int = 0, at: int = MIDNIGHT, key: str = "0123456789ab", outcome: Outcome = "success") -> Record:
    record = Record(f"req_{nth:05}", "", "chat", 100.0, at * 1000 + 999)
    record.model, record.version, record.outcome = "alias", "chat@2", outcome
    record.tenant, record.key = "acme" if key else "", key
    record.attempts, record.first_at, record.ended_at = 1, 100.1, 100.5
    record.use(1000, 500, exact=True)
    return record


async def written(registry: BoundedRegistry) -> list[Seen]:
    return await registry.ask(lambda them: them.usage.rows(Wanted(), None, 1_000_000))


async def counted(registry: BoundedRegistry) -> int:
    return sum(one.requests for one in await registry.ask(lambda them: them.usage.sums(FIELDS, Wanted(), [], 1000)))


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]

"""Rows of the ledger for tests, and sums of them made in another way than the product's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from gateway.pricing import decimal
from gateway.store.spending import FIELDS, Spent, Sum

MIDNIGHT = 1_800_057_600
"""2027-01-16, 00:00 UTC."""


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

"""Sums of usage are what the rows add up to, however they are cut into batches, and days begin at midnight of UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.spending import COUNTS, DAY, FIELDS, Spent, add_up, day_of, start_of
from tests.support.ledgers import MIDNIGHT, added_up, spent

COUNT = st.integers(0, 10**13)
ROWS = st.lists(
    st.builds(
        lambda **fields: spent("req_1", **fields),
        at=st.integers(MIDNIGHT - DAY, MIDNIGHT + DAY),
        tenant=st.sampled_from("ab"),
        key=st.sampled_from("kl"),
        model=st.sampled_from("mn"),
        version=st.sampled_from(["", "m@1", "m@2"]),
        outcome=st.sampled_from(["success", "ignored", "failed"]),
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        cost=COUNT,
    ),
    max_size=30,
)


def totals(batches: Sequence[Sequence[Spent]]) -> dict[tuple[Any, ...], Sequence[int]]:
    sums: dict[tuple[Any, ...], Sequence[int]] = {}
    for batch in batches:
        add_up(sums, batch)
    return sums


@given(ROWS, st.lists(st.integers(0, 30)))
def test_sums_do_not_depend_on_the_batches(rows: list[Spent], cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    batches = [rows[first:last] for first, last in pairwise(edges)]
    assert totals(batches) == totals([rows])


@given(ROWS)
def test_sums_are_those_of_the_rows(rows: list[Spent]) -> None:
    expected = [tuple(getattr(one, name) for name in (*FIELDS, "requests", "failed")) for one in added_up(rows, FIELDS)]
    sums = totals([rows])
    assert [(*of, *counts[:2]) for of, counts in sorted(sums.items())] == expected
    for nth, name in enumerate(COUNTS[2:], 2):
        assert sum(counts[nth] for counts in sums.values()) == sum(getattr(row, name) for row in rows)


@given(st.integers(0, 253_402_300_799))
def test_a_day_is_that_of_utc(at: int) -> None:
    assert day_of(at) == datetime.fromtimestamp(at, UTC).date()
    assert start_of(day_of(at)) <= at < start_of(day_of(at)) + DAY


@given(st.dates())
def test_a_day_begins_when_it_begins(day: date) -> None:
    assert start_of(day) == int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())

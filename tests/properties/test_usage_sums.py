"""Sums of usage are what the rows add up to, however they are cut into batches, and days begin at midnight of UTC."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.spending import COUNTS, DAY, FIELDS, Spent, day_of, start_of, summed
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


def totals(batches: list[list[Spent]]) -> dict[Any, Counter[str]]:
    """As the database adds them up."""
    found: dict[Any, Counter[str]] = {}
    for batch in batches:
        for row in summed(batch):
            of, counts = row[: len(FIELDS)], row[len(FIELDS) :]
            found.setdefault(of, Counter()).update(dict(zip(COUNTS, counts, strict=True)))
    return found


@given(ROWS, st.lists(st.integers(0, 30)))
def test_sums_do_not_depend_on_the_batches(rows: list[Spent], cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    batches = [rows[first:last] for first, last in pairwise(edges)]
    assert totals(batches) == totals([rows])


@given(ROWS)
def test_sums_are_those_of_the_rows_in_one_order(rows: list[Spent]) -> None:
    expected = [tuple(getattr(one, name) for name in (*FIELDS, "requests", "failed")) for one in added_up(rows, FIELDS)]
    assert [row[: len(FIELDS) + 2] for row in summed(rows)] == expected
    for nth, name in enumerate(COUNTS[2:], len(FIELDS) + 2):
        assert sum(row[nth] for row in summed(rows)) == sum(getattr(row, name) for row in rows)


@given(st.integers(0, 253_402_300_799))
def test_a_day_is_that_of_utc(at: int) -> None:
    assert day_of(at) == datetime.fromtimestamp(at, UTC).date()
    assert start_of(day_of(at)) <= at < start_of(day_of(at)) + DAY


@given(st.dates())
def test_a_day_begins_when_it_begins(day: date) -> None:
    assert start_of(day) == int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())

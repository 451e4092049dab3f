"""Whatever is done to the clock of the store's host, nobody waits for it, and no more passes than as it went on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.limits import script
from security.limits.api import SECOND, Bucket, Quota, key
from security.limits.script import Call
from tests.support.valkey import running_valkey

BURST, WINDOW = 60, 60.0
SPAN = BURST * SECOND
"""At a unit a second."""
BEGIN = 1_700_000_000 * SECOND
DAY = 86_400 * SECOND
STEP = SECOND
"""By which a clock may be put back without a word."""

Run = Callable[[Call], list[int]]
moments = st.lists(
    st.tuples(
        st.sampled_from([0, 1, SECOND // 2, SECOND, 20 * SECOND, DAY]),  # by how much the clock goes on
        st.sampled_from([0, 0, 0, 1, SECOND, 30 * SECOND, 90 * SECOND, 3 * DAY]),  # and is put back
        st.integers(1, BURST),  # units that are asked for
    ),
    max_size=20,
)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with running_valkey() as server, server.client() as client:
        run_it = client.register_script(script.text())
        yield lambda call: run_it(keys=list(call.keys), args=list(call.arguments))


class Store:
    """One bucket in the script's hands."""

    names = 0

    def __init__(self, run: Run) -> None:
        self._run = run
        Store.names += 1
        self._quota = Quota("acme", (Bucket(key("acme", f"b{Store.names}"), "requests", BURST, WINDOW),))

    def ask(self, units: int, now: int) -> tuple[int, int]:
        """Microseconds to wait, and its level after that."""
        Store.names += 1
        asked = [units * SECOND]
        _, wait, _, level = self._run(script.reserve(self._quota, asked, [], f"r{Store.names}", now))
        return wait, level

    def settle(self, paid: int, actual: int, now: int) -> None:
        self._run(script.settle(self._quota, [paid * SECOND], [actual * SECOND], f"r{Store.names}", now))


@given(moments)
def test_it_is_as_if_the_clock_had_stood_still_while_it_was_put_back(
    run: Run, happening: list[tuple[int, int, int]]
) -> None:
    store, now, most, gone_on, passed = Store(run), BEGIN, 0, 0, 0
    for later, back, units in happening:
        now += later - back
        gone_on += later
        wait, level = store.ask(units, now)
        assert wait == max(0, level + units * SECOND - SPAN) if wait else level <= SPAN
        assert level <= most + (0 if wait else units * SECOND) + STEP, "no level rises by itself"
        if wait:
            assert store.ask(units, now + wait) == (0, SPAN), "after as long as was told"
            now, gone_on = now + wait, gone_on + wait
            level = SPAN
        most, passed = level, passed + units * SECOND
        assert passed <= SPAN + gone_on


@pytest.mark.parametrize("back", [2 * SECOND, 3 * DAY])
def test_what_is_owed_or_given_back_is_so_whatever_the_clock_says(run: Run, back: int) -> None:
    for actual, level in ((10, 10), (60, 60), (90, 90)):
        store = Store(run)
        store.ask(60, BEGIN)
        store.settle(60, actual, BEGIN - back)
        assert store.ask(0, BEGIN - back)[1] == level * SECOND

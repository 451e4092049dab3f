"""A load is what a server said within the last second, and nothing else is ever taken for idleness."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from engines.api import Capacity, Failed, Load
from engines.load import STALE, LoadWatch, capacity
from tests.support.waiting import PATIENCE


class Server:
    """Says one thing after the other, and then nothing any more."""

    def __init__(self, *words: Load | Exception | None) -> None:
        self.words: Sequence[Load | Exception | None] = words
        self.asked = 0
        self.silent = asyncio.Event()
        self.now = 100.0

    async def read(self) -> Load | None:
        self.asked += 1
        if self.asked > len(self.words):
            self.silent.set()
            await asyncio.Event().wait()
        word = self.words[self.asked - 1]
        if isinstance(word, Exception):
            raise word
        return word


async def watched(server: Server) -> LoadWatch:
    """What has heard all that the server says."""
    watch = LoadWatch(server.read, lambda: server.now, name="it", every=0.0, pause=0.0)
    async with asyncio.timeout(PATIENCE):
        await server.silent.wait()
    await watch.aclose()
    return watch


async def test_the_last_word_counts_until_it_is_stale() -> None:
    server = Server(Load(1, 2, 0.5), Load(3, 4, 0.25))
    watch = await watched(server)
    assert watch.load == Load(3, 4, 0.25)
    server.now += STALE
    assert watch.load == Load(3, 4, 0.25)
    server.now += 0.001
    assert watch.load is None


async def test_before_the_first_word_the_load_is_unknown() -> None:
    assert (await watched(Server())).load is None


async def test_an_answer_that_says_nothing_is_no_idleness() -> None:
    assert (await watched(Server(Load(1, 2), None))).load is None


async def test_what_a_server_takes_is_true_for_longer_than_how_busy_it_is() -> None:
    takes = Capacity(8, None, 4096)
    server = Server(Load(1, 2, capacity=takes), Load(3, 4), None, Failed("gone"))
    watch = await watched(server)
    server.now += 100 * STALE
    assert (watch.load, watch.capacity) == (None, takes)
    assert (await watched(Server(Load(capacity=Capacity(9)), Load(capacity=takes)))).capacity == takes
    assert (await watched(Server(Load(1, 2)))).capacity is None


@pytest.mark.parametrize(
    ("told", "takes"),
    [
        ((64, 1000, 32), Capacity(64, None, 32_000)),
        ((64.0, None, 32), Capacity(64)),
        ((None, 10, 16.0), Capacity(kv_tokens=160)),
        ((None, None, None), None),
        ((0, 0, 64), None),
        ((-1, -10, 5), None),
        ((float("nan"), 1e200, 1e200), None),
        ((float("inf"), 1e13, 1), None),
    ],
    ids=range(8),
)
def test_a_number_that_counts_nothing_is_no_limit(told: tuple[float | None, ...], takes: Capacity | None) -> None:
    requests, blocks, block = told
    assert capacity(requests, blocks, block) == takes


@pytest.mark.parametrize("trouble", [Failed("no"), ValueError("unreadable")])
async def test_a_failure_makes_the_load_unknown_and_is_told_once(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        watch = await watched(Server(Load(1, 2), trouble, trouble, trouble))
    assert watch.load is None
    assert [vars(record)["reason"] for record in caplog.records] == [str(trouble)]


async def test_a_failure_after_a_word_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await watched(Server(Failed("one"), Load(1, 2), Failed("two")))
    assert [vars(record)["reason"] for record in caplog.records] == ["one", "two"]

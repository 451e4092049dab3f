"""`trtllm-serve` beside its OpenAI API: a list of iterations that drains, gauges of two names, a health of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engines.api import Capacity, Load, Surroundings, Timers
from engines.openai import OpenAIEngine
from engines.openai_options import OpenAIOptions
from engines.sweeper import Sweeper
from engines.trtllm_serve import from_gauges, from_iterations
from tests.support.waiting import PATIENCE, until

ITERATION = (
    b'{"iter":7,"numActiveRequests":%d,"numQueuedRequests":2,"maxNumActiveRequests":16,"iterLatencyMS":3.5,'
    b'"kvCacheStats":{"maxNumBlocks":100,"freeNumBlocks":75,"usedNumBlocks":25,"tokensPerBlock":32}}'
)
TAKES = Capacity(16, None, 3200)


def test_the_last_iteration_counts() -> None:
    assert from_iterations(b"[%b,%b]" % (ITERATION % 9, ITERATION % 4)) == Load(4, 2, 0.25, TAKES)


def test_a_drained_list_says_nothing() -> None:
    assert from_iterations(b"[]") is None


def test_an_iteration_may_lack_any_of_it() -> None:
    assert from_iterations(b'[{"iter":1}]') == Load(None, None, None)
    assert from_iterations(b'[{"kvCacheStats":{"maxNumBlocks":0}}]') == Load(None, None, None)


DEEP = b'[{"x":%b%b}]' % (b"[" * 100_000, b"]" * 100_000)


@pytest.mark.parametrize("page", [b"", b"{}", b"# HELP", b'[{"numActiveRequests":"4"}]', b"[1]", DEEP], ids=range(6))
def test_what_is_no_list_of_iterations_is_a_value_error(page: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        from_iterations(page)


@pytest.mark.parametrize("prefix", [b"", b"trtllm_"])
def test_both_sets_of_names_are_read(prefix: bytes) -> None:
    page = b'%bnum_requests_running{model_name="m"} 3.0\n%bnum_requests_waiting 1.0\n%bkv_cache_utilization 0.5\n'
    assert from_gauges(page % (prefix, prefix, prefix)) == Load(3, 1, 0.5)
    assert from_gauges(b"%bkv_cache_utilization 0.5\n" % prefix) == Load(None, None, 0.5)


def test_newer_gauges_say_what_it_takes() -> None:
    page = b"trtllm_num_requests_running 1.0\ntrtllm_max_num_active_requests 256.0\n"
    assert from_gauges(page) == Load(1, capacity=Capacity(256))
    page += b"trtllm_kv_cache_max_blocks 500.0\ntrtllm_kv_cache_tokens_per_block 32.0\n"
    assert from_gauges(page) == Load(1, capacity=Capacity(256, None, 16_000))


def test_gauges_of_other_names_say_nothing() -> None:
    assert from_gauges(b"python_info 1.0\ntrtllm_num_requests_running_total 3\n") is None


class Serve:
    """Answers by path; what is not in `pages` is a 404. A page may have a status before it."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ")[1].decode()
                self.asked.append(path)
                status = b"200 OK" if path in self.pages else b"404 Not Found"
                page = self.pages.get(path, b"")
                if page.startswith(b"503"):
                    status, page = b"503 Service Unavailable", b""
                writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(page), page))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def engine(serve: Serve, connections: int = 1024) -> AsyncIterator[OpenAIEngine]:
    server = await asyncio.start_server(serve.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = OpenAIOptions(url=f"http://127.0.0.1:{port}/v1", server="trtllm-serve", connections=connections)
    made = OpenAIEngine(options, Surroundings(Sweeper(), Timers()))
    try:
        async with asyncio.timeout(PATIENCE):
            await made.start()
            yield made
    finally:
        await made.aclose()
        server.close()


async def told(asked: OpenAIEngine) -> Load:
    load = await until(lambda: asked.load)
    assert load is not None
    return load


async def test_gauges_are_preferred_since_reading_them_takes_nothing_away() -> None:
    serve = Serve({"/prometheus/metrics": b"trtllm_num_requests_running 3\n", "/metrics": b"[%b]" % (ITERATION % 9)})
    async with engine(serve) as asked:
        assert await told(asked) == Load(3, None, None)
    assert "/metrics" not in serve.asked


async def test_the_list_is_read_where_there_are_no_gauges() -> None:
    async with engine(Serve({"/metrics": b"[%b]" % (ITERATION % 9)})) as asked:
        assert asked.capacity == Capacity(1024)  # its connections
        assert await told(asked) == Load(9, 2, 0.25, TAKES)
        assert asked.capacity == TAKES


async def test_there_are_never_more_calls_than_connections() -> None:
    async with engine(Serve({"/metrics": b"[%b]" % (ITERATION % 9)}), connections=8) as asked:
        await told(asked)
        assert asked.capacity == Capacity(8, None, 3200)


@pytest.mark.parametrize(
    ("pages", "ready", "reason"),
    [
        ({"/health": b"", "/v1/models": b"{}"}, True, ""),
        ({"/health": b"503", "/v1/models": b"{}"}, False, "The health check answered 503."),
        ({"/health": b"", "/v1/models": b"503"}, False, "The list of models answered 503."),
    ],
)
async def test_it_is_ready_if_both_its_health_and_its_models_say_so(
    pages: dict[str, bytes], ready: bool, reason: str
) -> None:
    async with engine(Serve(pages)) as asked:
        health = await asked.probe()
    assert (health.ready, health.reason) == (ready, reason)

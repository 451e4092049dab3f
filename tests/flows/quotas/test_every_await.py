"""A cancellation at every await of the request path leaves nothing reserved, wherever limits are counted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.config import check
from gateway.quotas import NOBODY
from gateway.wiring import build
from loadtests.fleet import Fleet
from security.limits.api import key
from tests.flows.failure.test_every_await import WAYS, Bench, interrupted
from tests.support.gateway import ROOT
from tests.support.interrupting import When
from tests.support.limited import plan
from tests.support.stand import two_models
from tests.support.valkey import ValkeyServer, running_valkey
from tests.support.waiting import until_told

VARIABLE = "LIMITS_STORE"
ALLOWED = {"concurrent_requests": 1}
SLOTS = key(NOBODY, "key", "", "concurrent_requests")


@pytest.fixture(params=["local", "shared"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyServer | None]:
    if request.param == "local":
        yield None
        return
    with running_valkey() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


@asynccontextmanager
async def benching(store: ValkeyServer | None) -> AsyncIterator[Bench]:
    """One whose only caller may have one request under way."""
    quotas = {"plans": [plan(key=ALLOWED, without_store="closed")], **({"store": {"env": VARIABLE}} if store else {})}
    with open(os.devnull, "wb") as nowhere:  # noqa: ASYNC230, PTH123  # a descriptor, not a file's content
        async with Fleet(2) as fleet:
            tree = {**two_models(fleet.urls), "quotas": quotas}
            gateway = build(check(tree, "test"), ROOT / ".cache", nowhere.fileno())
            gateway.edge.sweeper.now = asyncio.get_running_loop().time()
            await gateway.limiter.start()
            watching = asyncio.create_task(gateway.limiter.watch())
            yield Bench(gateway, fleet)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await gateway.limiter.aclose()
            gateway.ops.close()


@pytest.mark.parametrize("when", ["waiting", "ready"])
@pytest.mark.parametrize("name", ["unary", "stream", "cut", "fails_over", "refused", "body_late"])
async def test_p08_p34_a_cancellation_at_every_await_leaves_nothing_reserved(
    store: ValkeyServer | None, name: str, when: When
) -> None:
    async with benching(store) as bench:
        at = 1
        while await interrupted(bench, WAYS[name], at, when):
            assert await until_told(lambda: slots_taken(bench, store), lambda taken: taken == 0) == 0
            at += 1
        await bench.settle()
    assert at > (3 if store else 2)


async def slots_taken(bench: Bench, store: ValkeyServer | None) -> int:
    if store is None:
        used: dict[str, int] = bench.gateway.limiter._used  # type: ignore[attr-defined]
        return sum(used.values())
    with store.client() as client:
        return int(client.zcard(SLOTS))

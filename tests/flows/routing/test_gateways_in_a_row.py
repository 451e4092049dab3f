"""P09: a server that keeps to the caller's limit, as another gateway does, is not to blame when that is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest

from tests.support.fleet import spawn_fleet
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.standing import changes, pool_of
from tests.support.waiting import PATIENCE


@pytest.fixture
def gateway() -> Iterator[RunningGateway]:
    """In front of two others, each with a server of its own."""
    with ExitStack() as stack:
        fleet = stack.enter_context(spawn_fleet(2, "tokens=30"))
        behind = [stack.enter_context(running_gateway(configuration([url]))) for url in fleet.urls]
        made = stack.enter_context(running_gateway(configuration([f"{each.url}/v1" for each in behind])))
        made.wait_until(lambda: not any(replica.verdict for replica in pool_of(made, "mock").replicas))
        yield made
        made.wait_idle()


@pytest.mark.parametrize(
    ("stream", "directive"),
    [(False, "service_ms=5000"), (True, "ttft_ms=5000"), (True, "delay_ms=300")],
    ids=["unary", "before the first token", "in mid-stream"],
)
async def test_p09_short_limits_of_one_caller_eject_nobody(
    gateway: RunningGateway, stream: bool, directive: str
) -> None:
    heard = changes(pool_of(gateway, "mock"))
    wanted = {"model": "mock", "stream": stream, "messages": [{"role": "user", "content": f"@@{directive}@@"}]}
    async with httpx2.AsyncClient(base_url=gateway.url, trust_env=False, timeout=PATIENCE) as client:
        limit = {"x-request-timeout-ms": "600"}
        answers = await asyncio.gather(
            *(client.post("/v1/chat/completions", json=wanted, headers=limit) for _ in range(20))
        )
    assert all("upstream_timeout" in answer.text for answer in answers)
    assert heard == []
    assert not any(replica.failures for replica in pool_of(gateway, "mock").replicas)

"""P16: with all replicas out, callers that retry and a gateway that retries do not add up to a storm."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from loadtests.prove.outage import ATTEMPTS, BACK, WAYS, Outage, Way, outage
from loadtests.prove.traffic import WHOLE, traffic
from tests.support.fleet import spawn_fleet
from tests.support.gateway import configuration, running_gateway
from tests.support.standing import pool_of

SECONDS = 6.0
"""`make prove ARGS=outage` takes thirty."""


@pytest.fixture(scope="module")
def outages() -> Mapping[Way, Outage]:
    """All within the same seconds, each of a gateway of its own."""

    async def all_of_them() -> list[Outage]:
        return await asyncio.gather(*(outage(way, SECONDS) for way in WAYS))

    return dict(zip(WAYS, asyncio.run(all_of_them()), strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_p16_while_all_are_out_attempts_stay_near_the_calls_and_who_is_back_is_asked(
    outages: Mapping[Way, Outage], way: Way
) -> None:
    seen = outages[way]
    assert seen.ratio <= ATTEMPTS
    assert seen.attempts >= seen.calls, "each call was tried: or nobody would notice who is back"
    assert seen.back <= BACK
    assert seen.endings.pop("answered") >= 2
    codes = {"refused": "502 upstream_unreachable", "500": "502 upstream_error", "503": "503 upstream_overloaded"}
    assert set(seen.endings) == {codes[way]}


async def test_p16_the_outage_of_one_model_takes_no_retry_from_another() -> None:
    with spawn_fleet(5, "tokens=12") as fleet:
        models = [
            {"name": name, "engine": "openai", "upstream": "mock", "replicas": [{"url": url} for url in urls]}
            for name, urls in (("mock", fleet.urls[:3]), ("out", fleet.urls[3:]))
        ]
        for replica in fleet.replicas[2:]:
            replica.set(fault="status", status=500)
        with (
            running_gateway(configuration(models=models)) as gateway,
            traffic(gateway.port, "out") as unlucky,
            traffic(gateway.port, "mock") as others,
        ):
            await unlucky.crowd(100, 4)
            await asyncio.gather(unlucky.trickle(50, 2.0), others.trickle(50, 2.0))
            assert unlucky.endings == {"upstream_error"}
            assert others.endings == {WHOLE}
            assert pool_of(gateway, "mock").replicas[2].calls == 3

"""P16: with all replicas out, callers that retry and a gateway that retries do not add up to a storm."""

from __future__ import annotations

import pytest

from loadtests.prove.outage import ATTEMPTS, BACK, WAYS, Way, outage

SECONDS = 6.0
"""`make prove ARGS=outage` takes thirty."""


@pytest.mark.parametrize("way", WAYS)
async def test_p16_while_all_are_out_attempts_stay_near_the_calls_and_who_is_back_is_asked(way: Way) -> None:
    seen = await outage(way, SECONDS)
    assert seen.ratio <= ATTEMPTS
    assert seen.attempts >= seen.calls, "each call was tried: or nobody would notice who is back"
    assert seen.back <= BACK
    assert seen.endings.pop("answered") >= 2
    codes = {"refused": "502 upstream_unreachable", "500": "502 upstream_error", "503": "503 upstream_overloaded"}
    assert set(seen.endings) == {codes[way]}

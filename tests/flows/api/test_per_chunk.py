"""P15: per chunk only bytes move: no event waits for another, no JSON, few calls. (Ratios are `make bench`'s.)"""

from __future__ import annotations

import sys
from collections import Counter
from types import FrameType
from typing import Any

import pytest

from tests.support.api import NAMED, Api
from tests.support.asking import body
from tests.support.waiting import wait_until

MOST_CALLS = 18
"""Python functions entered or resumed per chunk on the loop's thread, from the upstream's socket to the client's."""


@pytest.mark.parametrize("model", ["mock", NAMED], ids=["same name", "renamed"])
def test_p15_each_event_comes_by_itself_as_soon_as_it_is_there(stand: Api, model: str) -> None:
    """P15: with 20 ms between tokens, reads with more than one event are what a busy machine makes of it, not us.

    It does so now and then; what we did would be so each time.
    """

    def alone() -> int:
        wanted = body("tokens=25,delay_ms=20", model=model, stream=True)
        with stand.http.stream("POST", "/v1/chat/completions", json=wanted) as answer:
            reads = list(answer.iter_raw())
        assert all(data.endswith(b"\n\n") for data in reads)
        assert b"".join(reads).count(b"\n\n") == 27
        return sum(data.count(b"\n\n") == 1 for data in reads)

    wait_until(alone, lambda events: events >= 20)


def test_p15_an_event_that_comes_in_pieces_goes_out_in_one(stand: Api) -> None:
    """P15: half an event is held until it is whole, and no longer."""
    with stand.http.stream(
        "POST", "/v1/chat/completions", json=body("tokens=10,chunking=split", stream=True)
    ) as answer:
        reads = list(answer.iter_raw())
    assert all(data.endswith(b"\n\n") for data in reads)
    assert b"".join(reads).count(b"\n\n") == 12


class Profile:
    """Counts what the loop's thread does: Python functions entered, and decoders called."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.decodes = 0

    def __call__(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "call":
            self.calls[f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_code.co_qualname}"] += 1
        elif event == "c_call" and function.__name__ in ("decode", "encode") and "msgspec" in repr(function):
            self.decodes += 1


def profiled(stand: Api, tokens: int, model: str) -> Profile:
    profile = Profile()
    wanted = body(f"tokens={tokens},delay_ms=2", model=model, max_tokens=tokens, stream=True)
    stand.gateway.run(lambda: sys.setprofile(profile))
    try:
        answer = stand.http.post("/v1/chat/completions", json=wanted)
    finally:
        stand.gateway.run(lambda: sys.setprofile(None))
    assert answer.text.count("data: ") == tokens + 2
    return profile


@pytest.mark.parametrize("model", ["mock", NAMED], ids=["same name", "renamed"])
def test_p15_a_chunk_costs_a_handful_of_calls_and_no_json(stand: Api, model: str) -> None:
    """P15: law 11. A longer stream decodes no more than a short one, and each chunk enters few functions."""
    short, long = profiled(stand, 20, model), profiled(stand, 320, model)
    assert short.decodes > 0
    assert abs(long.decodes - short.decodes) <= 10, "JSON is read per chunk"
    added = long.calls - short.calls
    per_chunk = added.total() / 300
    assert 0 < per_chunk <= MOST_CALLS, f"{per_chunk:.1f} calls per chunk: {added.most_common(25)}"

"""The engine over a real llama.cpp child with a micro model: answers, refusals, limits, slots, cancellation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engines.api import Capacity, Overloaded, Rejected, Reply, Usage
from engines.embedded.engine import EmbeddedEngine
from tests.support.embedded import (
    NEVER_ENDS,
    a_call,
    answer,
    busy_slots,
    endless,
    running,
    slots_of,
    until_busy,
    whole,
)
from tests.support.waiting import PATIENCE


async def events_of(reply: Reply) -> list[Any]:
    lines = (await whole(reply)).split(b"\n\n")
    assert lines[-2:] == [b"data: [DONE]", b""]
    return [msgspec.json.decode(line.removeprefix(b"data: ")) for line in lines[:-2]]


async def test_a_stream_is_as_openai_clients_want_it(engine: EmbeddedEngine) -> None:
    """P22: role first, finish_reason null until exactly one is not, usage last and without choices, one id."""
    with await engine.call(a_call(stream=True, **NEVER_ENDS)) as reply:
        events = await events_of(reply)
        assert reply.usage is not None
        assert reply.usage.exact
    *chunks, usage = events
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(reasons) - 1) + ["length"]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 8 == reply.usage.completion
    for field, expected in (("model", "public"), ("object", "chat.completion.chunk"), ("id", chunks[0]["id"])):
        assert {event[field] for event in events} == {expected}


async def test_unary_answers_of_both_kinds_name_the_public_model(engine: EmbeddedEngine) -> None:
    for kind, shape in (("chat", "chat.completion"), ("completion", "text_completion")):
        call = a_call("chat", **NEVER_ENDS) if kind == "chat" else a_call("completion", prompt="hello", **NEVER_ENDS)
        found = await answer(engine, call)
        assert (found["model"], found["object"]) == ("public", shape)
        assert found["usage"]["completion_tokens"] == 8
        assert found["choices"][0]["finish_reason"] == "length"


async def test_refusals_reach_no_child_and_hold_no_slot(engine: EmbeddedEngine) -> None:
    with pytest.raises(Rejected, match="embeddings"):
        await engine.call(a_call("embedding", input="a"))
    with pytest.raises(Rejected, match="tools"):
        await engine.call(a_call(tools=[{"type": "function"}]))
    with pytest.raises(Rejected, match="bytes"):
        await engine.call(a_call(messages=[{"role": "user", "content": "x" * 200_000}]))
    assert engine._slots.held == 0


@pytest.mark.parametrize(
    ("members", "word"),
    [({"temperature": "hot"}, "temperature"), ({"stop": [1]}, "stop"), ({"response_format": {"type": "xml"}}, "xml")],
)
async def test_what_the_child_refuses_is_the_callers_mistake(
    engine: EmbeddedEngine, members: dict[str, Any], word: str
) -> None:
    with pytest.raises(Rejected, match=word):
        await engine.call(a_call(**members))
    assert engine._slots.held == 0


async def test_a_prompt_at_the_limit_is_answered_and_one_token_more_is_refused(micro: Path) -> None:
    """P29: both numbers in the message, and the child is not asked."""
    async with running(model_path=micro, slots=1, context=512, max_prompt_tokens=100) as engine:
        tokens = [5] * 100
        found = await answer(engine, a_call("completion", prompt=tokens, max_tokens=10_000, **NEVER_ENDS))
        assert found["usage"] | {"prompt_tokens_details": None} == {
            "prompt_tokens": 100, "completion_tokens": 412, "total_tokens": 512, "prompt_tokens_details": None,
        }  # fmt: skip
        with pytest.raises(Rejected, match=r"100 .*101") as refused:
            await engine.call(a_call("completion", prompt=[*tokens, 5]))
        assert refused.value.code == "context_length_exceeded"


async def test_leaving_a_stream_frees_the_childs_slot_and_tells_what_was_used(engine: EmbeddedEngine) -> None:
    """P01, P23: the child stops decoding, the prompt's count is exact and the answer's is of what came."""
    whole_prompt = (await answer(engine, a_call(max_tokens=1)))["usage"]["prompt_tokens"]
    with await engine.call(endless()) as reply:
        stream = aiter(reply)
        got = b"".join([await anext(stream) for _ in range(5)])
        await until_busy(engine, 1)
    assert engine._slots.held == 0
    assert reply.usage == Usage(whole_prompt, got.count(b'"content":"'), exact=False)
    await until_busy(engine, 0)


async def test_cancelling_a_unary_call_frees_the_childs_slot_beside_a_busy_neighbour(engine: EmbeddedEngine) -> None:
    """P01: llama.cpp itself does not look, while another call has results, whether this one's caller has left."""
    with await engine.call(endless()) as neighbour:
        call = asyncio.create_task(engine.call(a_call(max_tokens=30_000, **NEVER_ENDS)))
        await until_busy(engine, 2)
        call.cancel()
        await asyncio.wait([call])
        assert engine._slots.held == 1
        stream = aiter(neighbour)
        for _ in range(50):
            await anext(stream)
        await until_busy(engine, 1)


async def test_leaving_during_the_prompt_stops_the_prompt_beside_a_busy_neighbour(micro: Path) -> None:
    """P01: of a prompt that takes many seconds, only the part up to the departure is computed."""
    async with running(model_path=micro, slots=2, context=65_536, max_prompt_tokens=32_000) as engine:
        with await engine.call(endless()) as neighbour:
            tokens = [5 + 7 * n % 400 for n in range(31_000)]
            call = asyncio.create_task(engine.call(a_call("completion", stream=True, prompt=tokens)))
            await until_busy(engine, 2)
            call.cancel()
            await asyncio.wait([call])
            stream = aiter(neighbour)
            async with asyncio.timeout(PATIENCE):
                while await busy_slots(engine) != 1:
                    await anext(stream)
        computed = [slot.get("n_prompt_tokens", 0) for slot in await slots_of(engine)]
        assert 0 < max(computed) < 31_000


@pytest.mark.parametrize("moment", range(16))
async def test_a_call_cancelled_at_any_await_holds_nothing(engine: EmbeddedEngine, moment: int) -> None:
    """Counting, connecting, waiting for the first token: each is some of these moments."""
    call = asyncio.create_task(engine.call(a_call(stream=True)))
    for _ in range(moment):
        await asyncio.sleep(0 if moment < 8 else 0.001)
    call.cancel()
    await asyncio.wait([call])
    if not call.cancelled():
        with call.result():
            assert engine._slots.held == 1
    assert engine._slots.held == 0
    assert (await answer(engine, a_call()))["usage"]["completion_tokens"] > 0


async def test_a_call_beyond_the_slots_is_refused_at_once_and_can_be_tried_elsewhere(engine: EmbeddedEngine) -> None:
    """P10: nothing waits in the child, where nobody could tell for how long."""
    assert engine.capacity == Capacity(requests=2)
    with await engine.call(endless()), await engine.call(endless()) as second:
        with pytest.raises(Overloaded) as refused:
            await engine.call(a_call())
        assert refused.value.retry_safe
        assert await busy_slots(engine) == 2
        second.__exit__(None, None, None)
        assert (await answer(engine, a_call()))["usage"]["completion_tokens"] > 0
    assert engine._slots.held == 0


async def test_a_hundred_calls_in_a_row_on_every_slot_are_all_answered(micro: Path) -> None:
    async with running(model_path=micro, slots=4, context=8192) as engine:

        async def twenty_five(first: int) -> list[int]:
            calls = [a_call(**NEVER_ENDS, seed=seed) for seed in range(first, first + 25)]
            return [(await answer(engine, call))["usage"]["completion_tokens"] for call in calls]

        found = await asyncio.gather(*(twenty_five(25 * slot) for slot in range(4)))
        assert found == [[8] * 25] * 4
        assert engine._slots.held == 0

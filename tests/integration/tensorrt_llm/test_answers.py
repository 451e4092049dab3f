"""Texts through a child process: whole, streamed, several, guided, cut at stop strings; and what the LLM was asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engines.api import Rejected, Unreachable
from tests.support.tensorrt_llm import Journal, answer, call, chunks, running, text_of

FIRST = "The avalanche passes above the road \U0001f3d4, and tr\xe4g"
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


async def test_a_stream_says_what_the_document_says_and_uses_as_much(model: Path) -> None:
    async with running(model) as engine:
        document = await answer(engine, call(temperature=0))
        with await engine.call(call(temperature=0, stream=True)) as reply:
            events = await chunks(reply)
    assert document["choices"][0]["message"]["content"].startswith(FIRST)
    assert text_of(events) == document["choices"][0]["message"]["content"]
    assert events[-1]["usage"] == document["usage"]
    assert document["usage"]["completion_tokens"] == 12


async def test_each_choice_and_each_prompt_is_a_request_with_a_seed_of_its_own(model: Path, journal: Journal) -> None:
    async with running(model) as engine:
        document = await answer(engine, call(kind="completion", prompt=["a", "b b"], n=2, seed=5))
    assert [choice["index"] for choice in document["choices"]] == [0, 1, 2, 3]
    assert document["usage"]["prompt_tokens"] == 2 + 3
    assert sorted(note["seed"] for note in journal.notes("begin")) == [5, 5, 6, 6]


async def test_without_a_seed_choices_differ(model: Path, journal: Journal) -> None:
    async with running(model) as engine:
        await answer(engine, call(n=4))
    assert len({note["seed"] for note in journal.notes("begin")}) == 4
    assert {note["temperature"] for note in journal.notes("begin")} == {1.0}


async def test_p41_a_stop_string_is_found_by_whoever_sees_it_first_and_never_said(model: Path) -> None:
    """P41: the LLM finds those that are whole tokens, the gateway finds them across the borders of tokens too."""
    async with running(model) as engine:
        document = await answer(engine, call("@@say=one two three four@@", stop=["o th"], max_tokens=50))
        whole = await answer(engine, call("@@say=one two three four@@", stop=[" two three"], max_tokens=50))
        with await engine.call(call(temperature=0, stream=True, stop=["he r"], max_tokens=5000)) as reply:
            events = await chunks(reply)
    assert (document["choices"][0]["message"]["content"], document["choices"][0]["finish_reason"]) == ("one tw", "stop")
    assert (whole["choices"][0]["message"]["content"], whole["choices"][0]["finish_reason"]) == ("one", "stop")
    assert text_of(events) == "The avalanche passes above t"
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


async def test_the_best_of_several_is_not_streamed_by_the_llm(model: Path, journal: Journal) -> None:
    async with running(model) as engine:
        with await engine.call(call(kind="completion", stream=True, best_of=3)) as reply:
            assert len(await chunks(reply)) == 3  # text, reason and usage
    assert [(note["best_of"], note["streaming"]) for note in journal.notes("begin")] == [(3, False)]


async def test_log_probabilities_of_each_token_are_told(model: Path) -> None:
    async with running(model) as engine:
        document = await answer(engine, call(logprobs=True, temperature=0))
    told = document["choices"][0]["logprobs"]["content"]
    assert [one["logprob"] for one in told] == [-0.25] * 12


async def test_a_forced_call_is_made_and_read(model: Path) -> None:
    async with running(model, guided_decoding="xgrammar") as engine:
        document = await answer(engine, call(tools=[TOOL], tool_choice="required", max_tokens=100))
    message = document["choices"][0]["message"]
    assert [one["function"] for one in message["tool_calls"]] == [{"name": "look_up", "arguments": "{}"}]
    assert document["choices"][0]["finish_reason"] == "tool_calls"


async def test_calls_and_thoughts_are_told_apart_from_text(model: Path) -> None:
    said = '<think>hm</think>\n<tool_call>\n{"name": "look_up", "arguments": {"a": 1}}\n</tool_call>'
    asked = f"@@say={said}@@"
    async with running(model, tools="hermes", reasoning=True) as engine:
        document = await answer(engine, call(asked, tools=[TOOL], max_tokens=200))
    message = document["choices"][0]["message"]
    assert message["reasoning_content"].strip() == "hm"
    assert message["tool_calls"][0]["function"] == {"name": "look_up", "arguments": '{"a": 1}'}


async def test_an_adapter_and_further_arguments_reach_the_llm(model: Path, journal: Journal) -> None:
    adapter = {"name": "tone", "id": 7, "path": "/adapters/tone"}
    options: dict[str, Any] = {
        "adapter": adapter,
        "kv_cache_fraction": 0.5,
        "max_batch_size": 8,
        "arguments": {"dtype": "bfloat16"},
    }
    async with running(model, **options) as engine:
        await answer(engine, call())
    (loaded,) = journal.notes("load")
    assert (loaded["dtype"], loaded["max_batch_size"]) == ("bfloat16", 8)
    assert journal.notes("begin")[0]["lora"] == "tone"


async def test_p29_a_prompt_beyond_the_limit_is_refused_before_the_child_hears_of_it(
    model: Path, journal: Journal
) -> None:
    """P29: by the gateway with both numbers, or in the child where only the LLM knows its limit."""
    async with running(model, max_num_tokens=20) as engine:
        with pytest.raises(Rejected, match="20 tokens") as caught:
            await engine.call(call("word " * 50))
        assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")
        assert not journal.notes("begin")
    async with running(model, max_seq_len=30, max_num_tokens=30) as engine:
        document = await answer(engine, call(max_tokens=5000))
        assert document["usage"]["total_tokens"] <= 30


@pytest.mark.parametrize("limit", ["max_seq_len", "max_num_tokens"])
async def test_p29_a_limit_that_only_the_llm_knows_is_told_as_the_callers_mistake(model: Path, limit: str) -> None:
    async with running(model, arguments={limit: 30}) as engine:
        with pytest.raises(Rejected) as caught:
            await engine.call(call("word " * 50, max_tokens=5000))
    assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")


async def test_what_the_llm_does_not_take_is_told_at_the_start(model: Path) -> None:
    with pytest.raises(Unreachable, match="invalid argument: beam_me"):
        async with running(model, arguments={"beam_me": 1}):
            pass


async def test_100_streams_at_a_time_are_whole(model: Path) -> None:
    async with running(model) as engine:

        async def one(number: int) -> tuple[str, int]:
            with await engine.call(call(f"@@say=number {number} of a hundred@@", stream=True)) as reply:
                events = await chunks(reply)
                return text_of(events), reply.usage.completion if reply.usage else 0

        told = await asyncio.gather(*map(one, range(100)))
    assert [text for text, _ in told] == [f"number {number} of a hundred" for number in range(100)]

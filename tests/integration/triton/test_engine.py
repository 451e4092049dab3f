"""The engine at a real Triton, with every kind of model: text, faults, embeddings, cancellation, real tokens."""

from __future__ import annotations

import asyncio
import os
from array import array
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from engines.api import Capacity, Failed, Interrupted, Rejected, TimedOut, Unreachable, Usage
from engines.embedded.weights import default_cache, pull
from loadtests.triton import TritonServer
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton import journal_until
from tests.support.triton_engine import ask, call, engine_for, text_of
from tests.support.waiting import until

GENERIC = {
    "text_input": "PROMPT",
    "text_output": "COMPLETION",
    "parameters": {"max_tokens": "LENGTH", "temperature": "HEAT"},
}
SERVED: dict[str, dict[str, Any]] = {
    "llmapi": {},
    "llmapi_unary": {},
    "ensemble": {},
    "tensorrt_llm_bls": {},
    "bls_accumulating": {},
    "generic": {"tensors": GENERIC},
    "generic_unary": {"tensors": GENERIC},
}
STREAMING = [name for name in SERVED if not name.endswith("unary")]


@pytest.mark.parametrize("model", SERVED)
async def test_text_finish_reason_and_usage(triton: TritonServer, model: str, tmp_path: Path) -> None:
    async with engine_for(triton, model, write_tiny_tokenizer(tmp_path), **SERVED[model]) as engine:
        assert (await engine.probe()).ready
        texts = set()
        for stream in (False, True):
            events, usage = await ask(engine, call(stream=stream))
            texts.add(text_of(events))
            assert usage.prompt > 0
            assert usage == Usage(usage.prompt, 8, exact=True)
            assert [one["finish_reason"] for event in events for one in event["choices"]][-1] == "length"
        assert texts == {"The quick brown fox jumps over the lazy"}


@pytest.mark.parametrize("model", STREAMING)
async def test_p40_characters_and_p41_stops(triton: TritonServer, model: str, tmp_path: Path) -> None:
    """P40, P41: whole characters only; a stop string is not said, wherever it was cut."""
    async with engine_for(triton, model, write_tiny_tokenizer(tmp_path), **SERVED[model]) as engine:
        cut = await ask(engine, call(prompt="@@fault=cut_character@@", max_tokens=60))
        assert text_of(cut[0]) == "Größe, naïve café, 漢字 und 🏔!"
        # At a pace: of a client that leaves as the end comes, Triton itself now and then dies.
        events, _ = await ask(engine, call(prompt="@@delay_ms=5@@", max_tokens=30, stop=["x jumps o"]))
        assert text_of(events) == "The quick brown fo"
        assert events[-2]["choices"][0]["finish_reason"] == "stop"


FAULTS = {
    "error": Failed,
    "invalid_utf8": Failed,
    "missing_output": Failed,
    "wrong_dtype": Failed,
    "stall": TimedOut,
}


@pytest.mark.parametrize("model", ["llmapi", "ensemble", "tensorrt_llm_bls"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_p19_a_server_that_lies_is_never_a_hang(
    triton: TritonServer, model: str, fault: str, tmp_path: Path
) -> None:
    """P19: in-stream errors and nonsense, before and after content."""
    async with engine_for(triton, model, write_tiny_tokenizer(tmp_path)) as engine:
        prompts = [f"@@fault={fault},after={tokens}@@" for tokens in (0, 3)]
        told = await asyncio.gather(*(ask(engine, call(prompt=one)) for one in prompts), return_exceptions=True)
        if model == "tensorrt_llm_bls" and triton.death():  # of Triton 2.51's own: BLS ends what its client has left
            assert all(isinstance(one, (Failed, Interrupted, TimedOut, Unreachable)) for one in told)
            return
        assert isinstance(told[0], FAULTS[fault])
        assert isinstance(told[1], Interrupted)
        assert "/" not in told[1].message


@pytest.mark.parametrize("base64", [False, True])
async def test_embeddings(triton: TritonServer, tmp_path: Path, base64: bool) -> None:
    names = {"text_input": "text", "embedding": "embedding"}
    async with engine_for(triton, "embedder", write_tiny_tokenizer(tmp_path), tensors=names) as engine:
        members = {"encoding_format": "base64"} if base64 else {}
        [document], usage = await ask(engine, call("embedding", stream=False, **members))
        vectors = [one["embedding"] for one in document["data"]]
        if base64:
            vectors = [array("f", b64decode(one)).tolist() for one in vectors]
        assert [one["index"] for one in document["data"]] == [0, 1]
        assert len(vectors[0]) == len(vectors[1]) > 1
        assert vectors[0] != vectors[1]
        assert document["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
        assert usage == Usage(2, 0, exact=True)
        with pytest.raises(Rejected) as caught:
            await engine.call(call("chat"))
        assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("model", "options"),
    [("llmapi", {}), ("ensemble", {})],
    ids=["llmapi", "ensemble"],
)
async def test_leaving_reaches_the_model(
    triton: TritonServer, model: str, options: dict[str, Any], tmp_path: Path
) -> None:
    async with engine_for(triton, model, write_tiny_tokenizer(tmp_path), **options) as engine:
        asked = call(prompt="@@tokens=2000,delay_ms=10@@", max_tokens=2000)
        with await engine.call(asked) as reply:
            stream = aiter(reply)
            for _ in range(5):
                await anext(stream)
        entries = await journal_until(
            triton, lambda entries: any(one.outcome and one.tokens for one in entries), request_id=f"{asked.id}-0"
        )
        end = next(one for one in entries if one.outcome and one.tokens)
        assert end.outcome in ("cancelled", "stopped")
        assert end.tokens < 300


async def test_its_load_is_known_while_it_is_watched(triton: TritonServer, tmp_path: Path) -> None:
    page = f"http://127.0.0.1:{triton.ports.metrics}/metrics"
    async with engine_for(triton, "llmapi", write_tiny_tokenizer(tmp_path), metrics=page) as engine:
        load = await until(lambda: engine.load)
        assert load is not None
        assert load.waiting == 0
    await engine.aclose()


async def test_what_it_takes_at_a_time_is_the_narrower_of_metrics_and_config(
    triton: TritonServer, tmp_path: Path
) -> None:
    page = f"http://127.0.0.1:{triton.ports.metrics}/metrics"
    tokenizer = write_tiny_tokenizer(tmp_path)
    async with engine_for(triton, "ensemble", tokenizer, metrics=page) as engine:
        await ask(engine, call(max_tokens=1))
        await until(lambda: engine.capacity.kv_tokens)
        assert engine.capacity == Capacity(64, None, 65_536)
    async with engine_for(triton, "tensorrt_llm_bls", tokenizer, metrics=page) as engine:
        await until(lambda: engine.capacity.kv_tokens)
        assert engine.capacity == Capacity(2, None, 65_536)  # its instances
    async with engine_for(triton, "tensorrt_llm_bls", tokenizer) as engine:
        assert engine.capacity == Capacity(2)


async def test_real_tokens(triton: TritonServer) -> None:
    weights = pull(default_cache(os.environ, Path.home()), print)
    async with engine_for(triton, "smollm2", weights) as engine:
        asked = call("chat", max_tokens=30, temperature=0)
        events, usage = await ask(engine, asked)
        said = "".join(one["delta"].get("content", "") for event in events for one in event["choices"])
        assert "Paris" in said
        assert events[-2]["choices"][0]["finish_reason"] == "stop"
        assert usage.prompt > 10
        [document], again = await ask(engine, call("chat", stream=False, max_tokens=30, temperature=0))
        assert document["choices"][0]["message"]["content"] == said
        assert again.prompt == usage.prompt  # what it wrote is counted by answers here, by its text there


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_that_knows_no_cap_is_ended_at_it(triton: TritonServer, tmp_path: Path, stream: bool) -> None:
    names = {"text_input": "PROMPT", "text_output": "COMPLETION"}
    async with engine_for(triton, "generic", write_tiny_tokenizer(tmp_path), tensors=names) as engine:
        asked = call(prompt="@@delay_ms=50@@", max_tokens=3, stream=stream)
        events, usage = await ask(engine, asked)
        assert text_of(events) == "The quick brown"
        assert [one["finish_reason"] for event in events for one in event["choices"]][-1] == "length"
        assert usage.completion == 3
        entries = await journal_until(
            triton, lambda entries: any(one.outcome for one in entries), request_id=f"{asked.id}-0"
        )
        end = next(one for one in entries if one.outcome)
        assert (end.outcome, end.tokens < 16) == ("cancelled", True)


async def test_a_whole_text_beyond_the_cap_is_cut(triton: TritonServer, tmp_path: Path) -> None:
    names = {"text_input": "PROMPT", "text_output": "COMPLETION"}
    async with engine_for(triton, "generic_unary", write_tiny_tokenizer(tmp_path), tensors=names) as engine:
        [document], usage = await ask(engine, call(max_tokens=3, stream=False))
        assert document["choices"][0]["text"].rstrip() == "The quick brown"
        assert document["choices"][0]["finish_reason"] == "length"
        assert usage.completion == 3


async def test_several_answers_to_one_question_differ(triton: TritonServer) -> None:
    weights = pull(default_cache(os.environ, Path.home()), print)
    async with engine_for(triton, "smollm2", weights) as engine:
        poem = [{"role": "user", "content": "Write a poem about snow."}]
        for seeded in ({}, {"seed": 11, "temperature": 1}):
            asked = call("chat", stream=False, messages=poem, n=3, max_tokens=20, **seeded)
            [document], _ = await ask(engine, asked)
            assert len({choice["message"]["content"] for choice in document["choices"]}) == 3

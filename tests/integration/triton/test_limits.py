"""Prompts at and beyond the limits that a real Triton's models tell, the one inside an ensemble included."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import json_format
from tritonclient.grpc import service_pb2

from engines.api import Rejected
from engines.grpc.aio import AioChannel
from engines.triton.repository import SERVICE, Repository
from loadtests.triton import TritonServer
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton_engine import ask, call, engine_for
from tests.support.waiting import PATIENCE

LONGEST = 40
"""Tokens of a prompt; an answer needs one more."""


async def tell_limits(server: TritonServer, model: str, **parameters: str) -> None:
    """Load the model with these further parameters in its config."""
    channel = AioChannel(server.grpc, tls=None, connections=1, max_message=1 << 20, connect_timeout=PATIENCE)
    try:
        question = service_pb2.ModelConfigRequest(name=model).SerializeToString()
        answer = await channel.open(f"{SERVICE}ModelConfig", question, timeout=10).read()
        config = json_format.MessageToDict(service_pb2.ModelConfigResponse.FromString(answer).config)
        config.setdefault("parameters", {}).update({name: {"stringValue": value} for name, value in parameters.items()})
        await Repository(channel).load(model, config)
    finally:
        await channel.aclose()


@pytest.mark.parametrize("model", ["ensemble", "tensorrt_llm_bls"])
async def test_p29_a_prompt_beyond_what_the_inner_model_takes_is_refused(
    triton: TritonServer, model: str, tmp_path: Path
) -> None:
    triton.need(model)
    await tell_limits(triton, "tensorrt_llm", max_seq_len=str(LONGEST + 1), max_num_tokens="${max_num_tokens}")
    async with engine_for(triton, model, write_tiny_tokenizer(tmp_path)) as engine:
        _, usage = await ask(engine, call(prompt=" ".join(["word"] * LONGEST), max_tokens=8))
        assert usage.completion == 1
        asked = call(prompt=" ".join(["word"] * (LONGEST + 1)), max_tokens=8)
        with pytest.raises(Rejected, match=rf"\b{LONGEST}\b.*\b{LONGEST + 1}\b") as refused:
            await engine.call(asked)
        assert (refused.value.param, refused.value.code) == ("prompt", "context_length_exceeded")
        assert triton.journal(request_id=f"{asked.id}-1") == triton.journal(request_id=f"{asked.id}-0") == []


@pytest.mark.parametrize("model", ["ensemble", "tensorrt_llm_bls"])
async def test_p29_limits_that_change_while_the_outer_model_stays_are_known_after_the_next_probe(
    triton: TritonServer, model: str, tmp_path: Path
) -> None:
    """P29: a model that is reloaded is ready all the while, and so is what is around it."""
    triton.need(model)
    await tell_limits(triton, "tensorrt_llm", max_seq_len="100")
    async with engine_for(triton, model, write_tiny_tokenizer(tmp_path)) as engine:
        asked = call(prompt=" ".join(["word"] * LONGEST), max_tokens=8)
        assert (await ask(engine, asked))[1].completion == 8
        await tell_limits(triton, "tensorrt_llm", max_seq_len=str(LONGEST))
        assert (await engine.probe()).ready
        with pytest.raises(Rejected, match=rf"\b{LONGEST}\b"):
            await engine.call(asked)

"""A real Triton takes what the profiles write, and what it answers they can read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from engines.grpc.aio import AioChannel
from engines.text.asked import Asked, read
from engines.triton.profiles import PROFILES, detect
from engines.triton.profiles.api import Adapter, ModelFacts, Profile, Step, TensorMap
from engines.triton.repository import Repository
from loadtests.triton import TritonServer
from tests.support import golden_table
from tests.support.golden_table import Case, call
from tests.support.triton import RawTriton, raw_triton
from tests.support.waiting import PATIENCE

SERVED = {"llmapi": "llmapi", "ensemble": "ensemble", "bls": "tensorrt_llm_bls"}
ACCEPTED = {
    name: case
    for name, case in golden_table.cases()
    if case.refusal is None
    if case.model in SERVED
    if "image_url_input" not in case.tensors  # our bls model has no preprocessing of images to hand them to
}
TENSORS = TensorMap(
    text_input="PROMPT",
    text_output="COMPLETION",
    parameters={"max_tokens": "LENGTH", "temperature": "HEAT", "stops": "HALT"},
)


@pytest.fixture
async def client(triton: TritonServer) -> AsyncIterator[RawTriton]:
    async with raw_triton(triton) as client:
        yield client


async def told(server: TritonServer, model: str) -> ModelFacts:
    """What the server says of a model, which it has loaded by then."""
    server.need(model)
    channel = AioChannel(server.grpc, tls=None, connections=1, max_message=1 << 20, connect_timeout=PATIENCE)
    try:
        return await Repository(channel).facts(model)
    finally:
        await channel.aclose()


async def steps(client: RawTriton, model: str, profile: Profile, asked: Asked, request_id: str = "") -> list[Step]:
    """What the server answers, read; an error of its fails the test."""
    tensors = {one.name: (one.datatype, list(one.shape), one.content) for one in golden_table.sent(profile, asked)}
    found = []
    for response in await client.all(model, tensors, request_id=request_id):
        assert not response.error
        assert all(
            response.outputs[name][0] == kind for name, kind in profile.expected.items() if name in response.outputs
        )
        if response.outputs:
            found.append(profile.step({name: raw for name, (_, _, raw) in response.outputs.items()}))
    return found


@pytest.mark.parametrize("case", ACCEPTED.values(), ids=ACCEPTED)
async def test_every_accepted_parameter_arrives_as_the_table_says(
    triton: TritonServer, client: RawTriton, case: Case
) -> None:
    model, request_id = SERVED[case.model], uuid4().hex
    facts = await told(triton, model)
    assert detect(facts) == case.model
    profile = PROFILES[case.model](facts)
    asked = read(call(case.kind, **case.ask))
    profile.check(asked)
    found = await steps(client, model, profile, asked, request_id)
    assert b"".join(step.text for step in found)
    if case.model == "llmapi":
        assert found[-1].finish in ("stop", "length")
    else:
        assert found[-1].prompt_tokens
        assert 0 < sum(step.completion_tokens or 0 for step in found) <= asked.max_tokens
    if case.model == "llmapi":  # the others hand tensors on under other names
        entry = triton.journal(request_id=request_id)[0]
        assert entry.shapes == {name: list(tensor.shape) for name, tensor in case.tensors.items()}


async def test_whether_bls_repeats_its_text_is_told_by_its_config(triton: TritonServer, client: RawTriton) -> None:
    asked = read(call("chat", max_tokens=4))
    whole = {}
    for model in ("tensorrt_llm_bls", "bls_accumulating"):
        profile = PROFILES["bls"](await told(triton, model))
        texts = [step.text for step in await steps(client, model, profile, asked)]
        whole[model] = texts[-1] if profile.cumulative else b"".join(texts)
        assert profile.cumulative is (model == "bls_accumulating")
    assert whole["tensorrt_llm_bls"] == whole["bls_accumulating"] != b""


async def test_log_probabilities_come_one_for_each_token(triton: TritonServer, client: RawTriton) -> None:
    profile = PROFILES["ensemble"](await told(triton, "ensemble"))
    found = await steps(client, "ensemble", profile, read(call("chat", logprobs=True, max_tokens=4)))
    assert [len(step.logprobs or ()) for step in found] == [step.completion_tokens for step in found]


async def test_a_server_that_does_not_stream_answers_whole(triton: TritonServer, client: RawTriton) -> None:
    profile = PROFILES["llmapi"](await told(triton, "llmapi_unary"))
    assert len(await steps(client, "llmapi_unary", profile, read(call("chat", stream=True)))) == 1


@pytest.mark.parametrize("model", ["llmapi", "ensemble"])
async def test_an_adapter_arrives(triton: TritonServer, client: RawTriton, model: str) -> None:
    profile = PROFILES[model](await told(triton, model), Adapter("poet", 7, "/adapters/poet"))
    assert await steps(client, model, profile, read(call("chat")))


async def test_a_model_of_no_known_kind_is_asked_by_its_map(triton: TritonServer, client: RawTriton) -> None:
    facts = await told(triton, "generic")
    assert detect(facts) == "generic"
    profile = PROFILES["generic"](facts, None, TENSORS)
    asked = read(call("chat", max_tokens=3, temperature=0.5, stop="never"))
    profile.check(asked)
    assert len(await steps(client, "generic", profile, asked)) == 3


async def test_a_text_becomes_a_vector(triton: TritonServer, client: RawTriton) -> None:
    facts = await told(triton, "embedder")
    profile = PROFILES["generic"](facts, None, TensorMap(text_input="text", embedding="embedding"))
    (tensor,) = profile.tensors(read(call("embedding")), "hi")
    answer = await client.unary("embedder", {tensor.name: (tensor.datatype, list(tensor.shape), tensor.content)})
    assert len(profile.vector({name: raw for name, (_, _, raw) in answer.outputs.items()})) > 1

"""The part of Triton's contract that is about time: leaving, stopping, unloading, a queue that is full."""

from __future__ import annotations

import asyncio

from tritonclient.grpc import service_pb2

from loadtests.fleet.answers import words
from tests.support.triton_asking import Target, answers, got, request, rest_of, said, says, sent, streaming, stub_of

SLOW = "@@tokens=32,delay_ms=25@@"
_DEADLINE = 20.0


async def leaving_stops_a_direct_model_but_no_ensemble(target: Target) -> None:
    async with stub_of(target.address) as stub:
        with streaming(stub, target.request(SLOW, request_id=f"left {target.contract}")) as call:
            assert got(await call.read()).outputs
            assert got(await call.read()).outputs
        outcome, tokens = await asyncio.wait_for(target.ended(f"left {target.contract}"), _DEADLINE)
    if target.contract == "llmapi":
        assert (outcome, tokens < 32) == ("cancelled", True)
    else:
        assert (outcome, tokens) == ("finished", 32)


async def stop_ends_the_request_with_the_same_id(target: Target) -> None:
    batched = target.contract == "ensemble"
    stop = {"stop": sent("BOOL", True, batched=batched)}
    if batched:
        one = sent("INT32", 1, batched=True)
        model, inputs = "tensorrt_llm", {"input_ids": one, "input_lengths": one, "request_output_len": one, **stop}
    else:
        model, inputs = target.model, {"text_input": target.text, **stop}
    async with stub_of(target.address) as stub, stub_of(target.address) as other:
        with streaming(stub, target.request(SLOW, request_id=f"stopped {target.contract}")) as call:
            first = got(await call.read())
            replies = await answers(other, request(model, inputs, request_id=f"stopped {target.contract}"))
            rest = await rest_of(call)
        outcome, tokens = await asyncio.wait_for(target.ended(f"stopped {target.contract}"), _DEADLINE)
    assert first.outputs
    assert (outcome, tokens < 32) == ("stopped", True)
    if batched:
        assert [one.error for one in (*replies, *rest) if one.error] == []
    else:
        assert [one.error for one in replies if one.error] == ["Request cancelled by client"]
        assert [one.error for one in rest if one.error] == ["Request cancelled by client"]


async def unloading_lets_running_streams_finish(target: Target) -> None:
    async with stub_of(target.address) as stub:
        with streaming(stub, target.request(SLOW)) as call:
            responses = [got(await call.read())]
            await stub.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name=target.model))
            refused = await answers(stub, target.request("hi"))
            responses += await rest_of(call)
        assert said(responses, target.contract) == "".join(words(0, 32)).encode()
        says(f"'{target.model}' has no available versions", refused[0].error)
        assert not (await stub.ModelReady(service_pb2.ModelReadyRequest(name=target.model))).ready
        await stub.RepositoryModelLoad(service_pb2.RepositoryModelLoadRequest(model_name=target.model))
        index = await stub.RepositoryIndex(service_pb2.RepositoryIndexRequest())
        again = await answers(stub, target.request("@@tokens=1@@"))
    assert {one.state for one in index.models if one.name == target.model} == {"READY"}
    assert said(again, target.contract) == b"The"


async def a_full_queue_refuses_with_its_text(target: Target) -> None:
    async with stub_of(target.address) as stub:
        with streaming(stub, target.request("@@tokens=8,delay_ms=50@@")) as call:
            assert got(await call.read()).outputs
            every = await asyncio.gather(*[answers(stub, target.request("hi", request_id="q")) for _ in range(7)])
    errors = [responses[0].error for responses in every if responses[0].error]
    assert errors == ["[request id: q] Exceeds maximum queue size"] * 5

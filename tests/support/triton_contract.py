"""What a client may rely on of Triton's gRPC, as tests that run against the real server and the simulated one alike.

Both answer a prompt with the fleet's words and obey `@@key=value@@` in it. `CONTRACT` holds the tests by name; those of
`BOUNDED` want a model that serves one request at a time, lets two wait, and refuses more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import accumulate
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from loadtests.fleet.answers import words
from tests.support.triton_asking import Target, answers, ask, request, said, says, sent, stub_of
from tests.support.triton_lifetimes import (
    a_full_queue_refuses_with_its_text,
    leaving_stops_a_direct_model_but_no_ensemble,
    stop_ends_the_request_with_the_same_id,
    unloading_lets_running_streams_finish,
)


async def the_configuration_tells_the_profile(target: Target) -> None:
    async with stub_of(target.address) as stub:
        config = (await stub.ModelConfig(service_pb2.ModelConfigRequest(name=target.model))).config
    inputs = {one.name: one for one in config.input}
    assert {one.name for one in config.input if not one.optional} >= {"text_input"}
    assert inputs["text_input"].data_type == config.output[0].data_type  # TYPE_STRING
    if target.contract == "llmapi":
        assert (config.platform, config.backend, config.max_batch_size) == ("", "python", 0)
        assert config.model_transaction_policy.decoupled
        assert inputs["sampling_param_max_tokens"].optional
        assert "streaming" in inputs
    else:
        assert (config.platform, inputs["max_tokens"].optional) == ("ensemble", False)
        assert config.max_batch_size > 0
        assert list(inputs["text_input"].dims) == [1]
        assert "stream" in inputs
        assert [one.model_name for one in config.ensemble_scheduling.step][1] == "tensorrt_llm"


async def health_and_metadata(target: Target) -> None:
    async with stub_of(target.address) as stub:
        assert (await stub.ServerLive(service_pb2.ServerLiveRequest())).live
        assert (await stub.ServerReady(service_pb2.ServerReadyRequest())).ready
        assert (await stub.ModelReady(service_pb2.ModelReadyRequest(name=target.model))).ready
        assert not (await stub.ModelReady(service_pb2.ModelReadyRequest(name="nobody"))).ready
        metadata = await stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=target.model))
    assert (metadata.name, list(metadata.versions)) == (target.model, ["1"])
    assert "text_output" in [one.name for one in metadata.outputs]


async def a_stream_says_deltas_or_all_so_far(target: Target) -> None:
    async with stub_of(target.address) as stub:
        responses = await answers(stub, target.request("@@tokens=4@@", request_id="deltas"))
    texts = [one.text for one in responses if "text_output" in one.outputs]
    expected = [word.encode() for word in words(0, 4)]
    assert texts[:4] == (list(accumulate(expected)) if target.contract == "llmapi" else expected)
    assert said(responses, target.contract) == b"".join(expected)
    assert {one.id for one in responses} == {"deltas"}
    shape = (1, 1) if target.contract == "ensemble" else (1,)
    assert {one.outputs["text_output"][:2] for one in responses if one.outputs} == {("BYTES", shape)}


async def a_unary_answer_is_one_response(target: Target) -> None:
    async with stub_of(target.address) as stub:
        responses = await answers(stub, target.request("@@tokens=3@@", stream=False))
    assert [one.text for one in responses if one.outputs] == ["".join(words(0, 3)).encode()]


async def extras_come_only_when_asked_for(target: Target) -> None:
    flags: dict[str, Any] = (
        {"return_finish_reason": True}
        if target.contract == "llmapi"
        else {"return_num_input_tokens": True, "return_num_output_tokens": True}
    )
    async with stub_of(target.address) as stub:
        plain = await answers(stub, target.request("@@tokens=3@@"))
        more = await answers(stub, target.request("@@tokens=3@@", max_tokens=2, **flags))
    assert {name for one in plain for name in one.outputs} == {"text_output"}
    contents = [one for one in more if one.outputs]
    if target.contract == "llmapi":
        assert contents[-1].string("finish_reason") == b"length"
        assert {one.string("finish_reason") for one in contents[:-1]} <= {b"None"}
    else:
        assert sum(one.number("num_output_tokens") for one in contents) == 2
        assert contents[0].number("num_input_tokens") > 0


async def the_final_is_said_once_if_asked_for(target: Target) -> None:
    async with stub_of(target.address) as stub:
        asked = await answers(stub, target.request("@@tokens=2@@"))
        unasked = await answers(stub, target.request("@@tokens=2@@", empty_final=False))
    assert [one.final for one in asked] == [False] * (len(asked) - 1) + [True]
    assert all(one.outputs for one in unasked)
    assert said(asked, target.contract) == said(unasked, target.contract)
    if target.contract == "llmapi":
        assert (asked[-1].outputs, asked[-1].version) == ({}, "")
        assert [one.final for one in unasked] == [False] * (len(asked) - 1)
    else:
        assert asked[-1].outputs, "the last token's response is the final one"


async def a_stop_word_ends_the_answer(target: Target) -> None:
    async with stub_of(target.address) as stub:
        responses = await answers(stub, target.request("@@tokens=9@@", stop=["brown"]))
    assert said(responses, target.contract) == (b"The quick brown" if target.contract == "ensemble" else b"The quick ")


async def requests_of_one_stream_are_all_answered(target: Target) -> None:
    async with stub_of(target.address) as stub:
        several = [target.request(f"@@tokens=2,seed={seed}@@", request_id=f"r{seed}") for seed in range(3)]
        responses = await answers(stub, *several)
    for seed in range(3):
        mine = [one for one in responses if one.id == f"r{seed}"]
        assert said(mine, target.contract) == "".join(words(seed, 2)).encode()
        assert mine[-1].final


async def mistakes_are_told_in_band(target: Target) -> None:
    batched = target.contract == "ensemble"
    good = ask(target.contract, "one two")
    wrong = {
        "unexpected inference input 'foo'": {**good, "foo": target.text},
        "data-type is 'INT32', but model .* expects 'BYTES'": {
            **good,
            "text_input": sent("INT32", 1, batched=batched),
        },
        "unexpected shape for input 'text_input'": {
            **good,
            "text_input": ("BYTES", [1, 1, 1], target.text[2]),
        },
        "missing required input.*text_input": {},
    }
    async with stub_of(target.address) as stub:
        for text, inputs in wrong.items():
            responses = await answers(stub, request(target.model, inputs, request_id="wrong"))
            assert responses[0].error
            says(text, responses[0].error)
        for message, text in (
            (request("nobody", good), "unknown model: 'nobody' is not found"),
            (request(target.model, good, version="7"), f"unknown model: '{target.model}' version 7 is not"),
        ):
            responses = await answers(stub, message)
            says(text, responses[0].error)


async def unary_methods_answer_with_codes(target: Target) -> None:
    async with stub_of(target.address) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ModelInfer(target.request("hi"))
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert "decoupled" in (caught.value.details() or "")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ModelConfig(service_pb2.ModelConfigRequest(name="nobody"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def an_engine_that_dies_says_so_in_band(target: Target) -> None:
    async with stub_of(target.address) as stub:
        for after in (0, 2):
            responses = await answers(stub, target.request(f"@@tokens=4,delay_ms=25,fault=error,after={after}@@"))
            assert [bool(one.error) for one in responses].index(True) == after
            says("the engine died", responses[after].error)
            assert [one.final for one in responses[after:]] == (
                [True] if target.contract == "ensemble" else [False, True]
            )


ContractTest = Callable[[Target], Awaitable[None]]
CONTRACT: tuple[ContractTest, ...] = (
    the_configuration_tells_the_profile,
    health_and_metadata,
    a_stream_says_deltas_or_all_so_far,
    a_unary_answer_is_one_response,
    extras_come_only_when_asked_for,
    the_final_is_said_once_if_asked_for,
    a_stop_word_ends_the_answer,
    requests_of_one_stream_are_all_answered,
    mistakes_are_told_in_band,
    unary_methods_answer_with_codes,
    an_engine_that_dies_says_so_in_band,
    leaving_stops_a_direct_model_but_no_ensemble,
    stop_ends_the_request_with_the_same_id,
    unloading_lets_running_streams_finish,
)
BOUNDED: tuple[ContractTest, ...] = (a_full_queue_refuses_with_its_text,)

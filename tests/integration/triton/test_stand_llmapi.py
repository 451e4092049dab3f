"""Our Triton's `llmapi` keeps the contract of TensorRT-LLM's LLM API, as a bare client sees it."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import grpc
import grpc.aio
import pytest

from loadtests.triton import TritonServer
from tests.support.triton import RawTriton, Response, Tensor, ended, flags, floats, ints, texts
from tests.support.triton_questions import FIRST_FOUR, llmapi, question, said


async def test_llmapi_repeats_all_text_and_ends_with_an_empty_response(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi")
    *responses, last = await client.all("llmapi", llmapi("hi"))
    assert said(responses) == ["".join(FIRST_FOUR[: at + 1]) for at in range(4)]
    assert last == Response(final=True)
    assert {name for one in responses for name in one.outputs} == {"text_output"}


async def test_llmapi_echoes_the_prompt_unless_told_not_to(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi")
    tensors = llmapi("hi:", sampling_param_exclude_input_from_output=flags(False))
    assert said(await client.all("llmapi", tensors))[0] == "hi:The"


async def test_llmapi_says_everything_optional_on_request_and_as_strings(
    triton: TritonServer, client: RawTriton
) -> None:
    triton.need("llmapi")
    wanted = {name: flags(True) for name in ("return_finish_reason", "return_stop_reason", "return_cumulative_logprob")}
    *responses, _ = await client.all("llmapi", llmapi("hi", 4, **wanted))
    assert said(responses, "finish_reason") == ["None", "None", "None", "length"]
    assert said(responses, "stop_reason") == ["None"] * 4
    assert responses[-1].outputs["cumulative_logprob"][0] == "BYTES"
    orders = [list(one.outputs) for one in responses]
    assert any(one != other for one, other in pairwise(orders)), "the order is not the configuration's"


async def test_llmapi_stops_before_a_stop_word(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi")
    more = {"sampling_param_stop": texts("fox", "brown"), "return_finish_reason": flags(True)}
    responses = await client.all("llmapi", llmapi("hi", 9, **more))
    assert said(responses)[-1] == "The quick "
    assert said(responses, "finish_reason")[-1] == "stop"


async def test_llmapi_makes_32_tokens_unless_told(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi")
    tensors = llmapi("@@tokens=50@@")
    del tensors["sampling_param_max_tokens"]
    assert len(said(await client.all("llmapi", tensors))) == 32


@pytest.mark.parametrize(
    ("tensor", "value"),
    [("temperature", floats(-1)), ("top_p", floats(1.5)), ("top_k", ints(-1)), ("max_tokens", ints(0))],
)
async def test_llmapi_refuses_sampling_out_of_range(
    triton: TritonServer, client: RawTriton, tensor: str, value: Tensor
) -> None:
    triton.need("llmapi")
    refused, _ = await client.all("llmapi", llmapi("hi", 4, **{f"sampling_param_{tensor}": value}))
    assert refused.error.startswith(f"Error generating request: {tensor}=")


async def test_llmapi_lies_about_its_text_where_told_to(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi")
    wrong = await client.all("llmapi", llmapi("@@fault=wrong_dtype,after=1@@"))
    assert [one.outputs["text_output"][0] for one in wrong[:3]] == ["BYTES", "INT32", "BYTES"]
    missing = await client.all("llmapi", llmapi("@@fault=missing_output,after=1@@"))
    assert [list(one.outputs) for one in missing[:3]] == [["text_output"], [], ["text_output"]]
    invalid = await client.all("llmapi", llmapi("@@fault=invalid_utf8,after=1@@"))
    assert invalid[1].raw("text_output") == b"The\xff\xfe"
    huge = await client.all("llmapi", llmapi("@@fault=huge,size=3000000@@", 1))
    assert len(huge[0].raw("text_output")) == 3_000_000


async def test_llmapi_without_a_final_response(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi")
    call = client.open("llmapi", llmapi("@@fault=no_final@@"), "no-final")
    for _ in range(4):
        await call.read()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(call.read())), 0.3)
    call.cancel()
    assert (await ended(triton, request_id="no-final")).tokens == 4


@pytest.mark.parametrize("model", ["llmapi", "generic"])
async def test_a_cancelled_call_is_seen_within_a_poll(triton: TritonServer, client: RawTriton, model: str) -> None:
    triton.need(model)
    call = client.open(model, question(model, "@@delay_ms=10,tokens=5000@@", 5000), f"cancel {model}")
    for _ in range(3):
        await call.read()
    call.cancel()
    cancelled = time.monotonic()
    end = await ended(triton, request_id=f"cancel {model}")
    assert end.outcome == "cancelled"
    assert end.tokens < 300
    assert end.at - cancelled < 2, "a poll is 0.02 s, and all of them take 50 s"


async def test_llmapi_stops_the_request_with_the_same_id(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi")
    call = client.open("llmapi", llmapi("@@fault=stall,after=1@@"), "stop-me")
    await call.read()
    replies = await client.all("llmapi", {"text_input": texts(""), "stop": flags(True)}, request_id="stop-me")
    assert [one.error for one in replies] == ["Request cancelled by client", ""]
    assert (await call.read()).error_message == "Request cancelled by client"


async def test_llmapi_without_streaming_answers_unary_calls(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi_unary")
    tensors = llmapi("hi", streaming=flags(False))
    assert (await client.unary("llmapi_unary", tensors)).text() == "".join(FIRST_FOUR)
    (refused,) = await client.all("llmapi_unary", llmapi("hi"))
    assert refused.error == "Streaming is only supported in decoupled mode."


async def test_a_decoupled_model_takes_no_unary_calls(triton: TritonServer, client: RawTriton) -> None:
    triton.need("llmapi")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.unary("llmapi", llmapi("hi", streaming=flags(False)))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED

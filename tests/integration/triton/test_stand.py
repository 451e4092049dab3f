"""The models of our Triton keep the contracts that they stand for, as a bare client sees them."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import grpc
import grpc.aio
import pytest

from loadtests.fleet.answers import words
from loadtests.triton import TritonServer
from tests.support.triton import (
    RawTriton,
    Response,
    Tensor,
    batched,
    ended,
    flags,
    floats,
    ints,
    journal_until,
    raw_triton,
    texts,
)

FIRST_FOUR = ["The", " quick", " brown", " fox"]
ALL_CASES = pytest.mark.parametrize("model", ["llmapi", "ensemble", "tensorrt_llm_bls", "generic"])
DELTAS = pytest.mark.parametrize("model", ["ensemble", "tensorrt_llm_bls"])


def llmapi(prompt: str, tokens: int = 4, **more: Tensor) -> dict[str, Tensor]:
    return {
        "text_input": texts(prompt),
        "streaming": flags(True),
        "sampling_param_max_tokens": ints(tokens),
        "sampling_param_exclude_input_from_output": flags(True),
        **more,
    }


def legacy(prompt: str, tokens: int = 4, **more: Tensor) -> dict[str, Tensor]:
    return batched({"text_input": texts(prompt), "max_tokens": ints(tokens), "stream": flags(True), **more})


def question(model: str, prompt: str, tokens: int = 4) -> dict[str, Tensor]:
    if model == "generic":
        return {"PROMPT": texts(prompt), "LENGTH": ints(tokens)}
    return (llmapi if model == "llmapi" else legacy)(prompt, tokens)


def said(responses: list[Response], name: str = "text_output") -> list[str]:
    return [one.text(name) for one in responses if name in one.outputs]


@pytest.fixture
async def client(triton: TritonServer) -> AsyncIterator[RawTriton]:
    async with raw_triton(triton) as opened:
        yield opened


async def refusal(client: RawTriton, model: str, tensors: dict[str, Tensor]) -> str:
    (refused,) = await client.all(model, tensors)
    assert refused.outputs == {}
    return refused.error


# What every model does


def test_the_scripted_text_is_the_fleets() -> None:
    from loadtests.triton.models.script import Script

    assert tuple(piece.decode() for piece in Script(seed=5, tokens=60).pieces(60, [])) == words(5, 60)


@ALL_CASES
async def test_a_tensor_that_is_not_declared_is_refused(triton: TritonServer, client: RawTriton, model: str) -> None:
    triton.need(model)
    error = await refusal(client, model, question(model, "hi") | {"surprise": ints(1)})
    assert "unexpected inference input 'surprise'" in error


@pytest.mark.parametrize(
    ("model", "tensors"),
    [("llmapi", llmapi("hi", streaming=ints(1))), ("ensemble", legacy("hi", stream=ints(1)))],
)
async def test_a_wrong_datatype_is_refused(
    triton: TritonServer, client: RawTriton, model: str, tensors: dict[str, Tensor]
) -> None:
    triton.need(model)
    assert "data-type is 'INT32'" in await refusal(client, model, tensors)


@pytest.mark.parametrize(
    ("model", "tensors", "expected"),
    [
        ("llmapi", batched({"text_input": texts("hi")}), "Expected [-1], got [1,1]"),
        ("ensemble", {"text_input": texts("hi"), "max_tokens": ints(4)}, "Expected [-1,1], got [1]"),
    ],
)
async def test_the_batch_dimension_is_where_the_contract_has_it(
    triton: TritonServer, client: RawTriton, model: str, tensors: dict[str, Tensor], expected: str
) -> None:
    triton.need(model)
    assert expected in await refusal(client, model, tensors)


@ALL_CASES
async def test_errors_come_first_or_after_a_token(triton: TritonServer, client: RawTriton, model: str) -> None:
    triton.need(model)
    output = "COMPLETION" if model == "generic" else "text_output"
    for after in (0, 2):
        responses = await client.all(model, question(model, f"@@fault=error,after={after},delay_ms=30@@"))
        assert len(said(responses, output)) == after
        assert [one for one in responses if one.error]
        assert responses[-1].final


@ALL_CASES
async def test_a_stream_may_be_cut_within_a_character(triton: TritonServer, client: RawTriton, model: str) -> None:
    triton.need(model)
    output = "COMPLETION" if model == "generic" else "text_output"
    responses = await client.all(model, question(model, "@@fault=cut_character@@", tokens=3))
    raw = [one.raw(output) for one in responses if one.outputs]
    assert raw == ([b"G", b"Gr", b"Gr\xc3"] if model == "llmapi" else [b"G", b"r", b"\xc3"])


# llmapi


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
    assert end.tokens < 100
    assert end.at - cancelled < 0.2  # a poll is 0.02 s


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


# The legacy contract


@DELTAS
async def test_legacy_models_send_deltas_and_nothing_unasked(
    triton: TritonServer, client: RawTriton, model: str
) -> None:
    triton.need(model)
    responses = await client.all(model, legacy("hi"))
    assert said(responses) == FIRST_FOUR
    assert {name for one in responses for name in one.outputs} == {"text_output"}
    assert responses[-1].final
    assert bool(responses[-1].outputs) == (model == "ensemble"), "the ensemble marks its last token, BLS ends apart"


async def test_an_accumulating_bls_repeats_all_text(triton: TritonServer, client: RawTriton) -> None:
    triton.need("bls_accumulating")
    responses = await client.all("bls_accumulating", legacy("hi"))
    assert said(responses) == ["".join(FIRST_FOUR[: at + 1]) for at in range(4)]


@DELTAS
async def test_legacy_counts_are_those_of_one_response(triton: TritonServer, client: RawTriton, model: str) -> None:
    triton.need(model)
    wanted = {"return_num_input_tokens": flags(True), "return_num_output_tokens": flags(True)}
    responses = [one for one in await client.all(model, legacy("four", 4, **wanted)) if one.outputs]
    assert [one.int("num_output_tokens") for one in responses] == [1, 1, 1, 1]
    assert {one.int("num_input_tokens") for one in responses} == {4}
    assert responses[0].outputs["num_input_tokens"][1] == [1, 1]


async def test_an_ensemble_without_streaming_counts_its_prompt_too(triton: TritonServer, client: RawTriton) -> None:
    triton.need("ensemble")
    tensors = legacy("hi:", stream=flags(False), return_num_output_tokens=flags(True))
    (response,) = await client.all("ensemble", tensors)
    assert response.text() == "hi:" + "".join(FIRST_FOUR)
    assert response.int("num_output_tokens") == 3 + 4


@DELTAS
async def test_legacy_choices_and_probabilities(triton: TritonServer, client: RawTriton, model: str) -> None:
    triton.need(model)
    wanted = {"num_return_sequences": ints(2), "return_log_probs": flags(True)}
    responses = [one for one in await client.all(model, legacy("hi", 2, **wanted)) if one.outputs]
    assert [one.int("sequence_index") for one in responses] == [0, 1, 0, 1]
    assert responses[0].outputs["output_log_probs"] == ("FP32", [1, 1, 1], struct.pack("<f", -0.5))
    assert next(iter(responses[0].outputs)) != "text_output", "the order is not the configuration's"


@DELTAS
async def test_legacy_stop_words_stay_and_bad_words_do_not(triton: TritonServer, client: RawTriton, model: str) -> None:
    triton.need(model)
    more = {"stop_words": texts("lazy", "fox"), "bad_words": texts("quick")}
    assert said(await client.all(model, legacy("hi", 9, **more))) == ["The", " brown", " fox"]


async def test_bls_errors_are_tracebacks_and_end_apart(triton: TritonServer, client: RawTriton) -> None:
    triton.need("tensorrt_llm_bls")
    failed, last = await client.all("tensorrt_llm_bls", legacy("@@fault=error@@"))
    assert failed.error.startswith("Traceback (most recent call last):")
    assert "the engine died" in failed.error
    assert not failed.final
    assert last == Response(final=True)


async def test_cancelling_an_ensemble_needs_stop(triton: TritonServer, client: RawTriton) -> None:
    triton.need("ensemble")
    call = client.open("ensemble", legacy("@@delay_ms=10,tokens=5000@@", 5000), "ensemble-stop")
    for _ in range(3):
        await call.read()
    call.cancel()
    await asyncio.sleep(0.3)  # longer than any poll
    entries = triton.journal(model="tensorrt_llm", request_id="ensemble-stop")
    assert [one.outcome for one in entries] == [None], "the engine goes on"
    one = ints(1)
    tensors = batched({"input_ids": one, "input_lengths": one, "request_output_len": one, "stop": flags(True)})
    assert await client.all("tensorrt_llm", tensors, request_id="ensemble-stop") == [Response(final=True)]
    entries = await journal_until(triton, lambda entries: len(entries) == 4, request_id="ensemble-stop")
    assert sorted((one.outcome or "", one.tokens > 20) for one in entries[2:]) == [
        ("finished", False),
        ("stopped", True),
    ]


async def test_bls_is_never_cancelled(triton: TritonServer, client: RawTriton) -> None:
    triton.need("tensorrt_llm_bls")
    already = len(triton.journal(model="tensorrt_llm"))
    call = client.open("tensorrt_llm_bls", legacy("@@delay_ms=5,tokens=60@@", 60), "bls-cancel")
    await call.read()
    call.cancel()
    entries = await journal_until(triton, lambda entries: len(entries) == already + 2, model="tensorrt_llm")
    assert (entries[-1].outcome, entries[-1].tokens) == ("finished", 60)


async def test_a_full_queue_is_refused(triton: TritonServer, client: RawTriton) -> None:
    triton.need("bls_bounded")
    calls = [client.all("bls_bounded", legacy("@@delay_ms=50@@")) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    errors = [answer[0].error for answer in answers if answer[0].error]
    assert 4 <= len(errors) <= 6
    assert all("Exceeds maximum queue size" in error for error in errors)


async def test_the_engine_tells_its_load(triton: TritonServer, client: RawTriton) -> None:
    triton.need("ensemble")
    call = client.open("ensemble", legacy("@@delay_ms=10,tokens=50@@", 50), "load")
    await call.read()
    name = 'nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="active",version="1"}'
    active = next(line for line in triton.scrape().splitlines() if line.startswith(name))
    assert float(active.split()[-1]) >= 1
    call.cancel()


# The others


async def test_a_generic_model_has_names_of_its_own(triton: TritonServer, client: RawTriton) -> None:
    triton.need("generic", "generic_unary")
    *deltas, last = await client.all("generic", {"PROMPT": texts("hi"), "LENGTH": ints(4)})
    assert said(deltas, "COMPLETION") == FIRST_FOUR
    assert last == Response(final=True)
    whole = await client.unary("generic_unary", {"PROMPT": texts("hi"), "LENGTH": ints(4)})
    assert whole.text("COMPLETION") == "".join(FIRST_FOUR)


async def test_an_embedder_answers_batches(triton: TritonServer, client: RawTriton) -> None:
    triton.need("embedder")
    datatype, _, raw = texts("a", "b")
    both = await client.unary("embedder", {"text": (datatype, [2, 1], raw)})
    alone = [await client.unary("embedder", batched({"text": texts(text)})) for text in "ab"]
    assert both.outputs["embedding"][:2] == ("FP32", [2, 16])
    assert both.outputs["embedding"][2] == b"".join(one.outputs["embedding"][2] for one in alone)
    vector = struct.unpack("<16f", alone[0].outputs["embedding"][2])
    assert sum(number * number for number in vector) == pytest.approx(1, abs=1e-5)


async def test_an_embedders_error_has_a_code(triton: TritonServer, client: RawTriton) -> None:
    triton.need("embedder")
    with pytest.raises(grpc.aio.AioRpcError, match="the engine died") as caught:
        await client.unary("embedder", batched({"text": texts("@@fault=error@@")}))
    assert caught.value.code() == grpc.StatusCode.INTERNAL

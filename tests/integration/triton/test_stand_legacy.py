"""Our Triton's ensemble and BLS model keep TensorRT-LLM's legacy contract, as a bare client sees it."""

from __future__ import annotations

import asyncio
import struct

import pytest

from loadtests.triton import TritonServer
from tests.support.triton import RawTriton, Response, batched, begun, flags, ints, journal_until, texts
from tests.support.triton_questions import FIRST_FOUR, legacy, said

DELTAS = pytest.mark.parametrize("model", ["ensemble", "tensorrt_llm_bls"])


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
    await client.all("ensemble", legacy("@@delay_ms=10,tokens=30@@", 30))  # for each token is asked who has left
    entries = triton.journal(model="tensorrt_llm", request_id="ensemble-stop")
    assert [one.outcome for one in entries] == [None], "the engine goes on"
    one = ints(1)
    tensors = batched({"input_ids": one, "input_lengths": one, "request_output_len": one, "stop": flags(True)})
    assert await client.all("tensorrt_llm", tensors, request_id="ensemble-stop") == [Response(final=True)]
    entries = await journal_until(
        triton, lambda entries: len(entries) == 4, model="tensorrt_llm", request_id="ensemble-stop"
    )
    assert sorted((one.outcome or "", one.tokens > 20) for one in entries[2:]) == [
        ("finished", False),
        ("stopped", True),
    ]


async def test_each_part_of_an_ensemble_notes_what_it_was_asked(triton: TritonServer, client: RawTriton) -> None:
    triton.need("ensemble", "tensorrt_llm_bls")
    await client.all("ensemble", legacy("hi", 3, stop_words=texts("fox", "dog")), request_id="noted")
    first, _, third, last = await journal_until(triton, lambda entries: len(entries) == 4, request_id="noted")
    assert (first.model, third.model) == ("preprocessing", "tensorrt_llm")
    assert first.inputs == {"QUERY": ["hi"], "REQUEST_OUTPUT_LEN": [3], "STOP_WORDS_DICT": ["fox", "dog"]}
    assert first.shapes["STOP_WORDS_DICT"] == [1, 2]
    assert (third.inputs["input_ids"], last.outcome, last.tokens) == (list(b"hi"), "finished", 3)
    await client.all("tensorrt_llm_bls", legacy("@@fault=error,after=1@@"), request_id="noted by bls")
    asked, ended = await journal_until(
        triton, lambda entries: len(entries) == 2, model="tensorrt_llm_bls", request_id="noted by bls"
    )
    assert asked.inputs["stream"] == [True]
    assert (ended.outcome, ended.tokens) == ("failed", 1)


async def test_bls_is_never_cancelled(triton: TritonServer, client: RawTriton) -> None:
    triton.need("tensorrt_llm_bls")
    already = len(begun(triton, model="tensorrt_llm"))
    call = client.open("tensorrt_llm_bls", legacy("@@delay_ms=5,tokens=60@@", 60), "bls-cancel")
    await call.read()
    call.cancel()
    (asked,) = begun(triton, model="tensorrt_llm")[already:]
    entries = await journal_until(
        triton, lambda entries: any(one.number == asked.number and one.outcome for one in entries), model="tensorrt_llm"
    )
    (end,) = [one for one in entries if one.number == asked.number and one.outcome]
    assert (end.outcome, end.tokens) == ("finished", 60)


async def test_a_full_queue_is_refused(triton: TritonServer, client: RawTriton) -> None:
    triton.need("bls_bounded")
    calls = [client.all("bls_bounded", legacy("@@delay_ms=50@@")) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    errors = [answer[0].error for answer in answers if answer[0].error]
    assert 4 <= len(errors) <= 6
    assert all("Exceeds maximum queue size" in error for error in errors)


async def test_the_engine_tells_its_load(triton: TritonServer, client: RawTriton) -> None:
    triton.need("ensemble")
    call = client.open("ensemble", legacy("@@delay_ms=10,tokens=2000@@", 2000), "load")
    await call.read()
    name = 'nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="active",version="1"}'
    active = next(line for line in triton.scrape().splitlines() if line.startswith(name))
    assert float(active.split()[-1]) >= 1
    call.cancel()

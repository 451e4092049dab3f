"""What our Triton's models do alike, and those of no published contract, as a bare client sees them."""

from __future__ import annotations

import struct
import time

import grpc
import grpc.aio
import pytest

from loadtests.fleet.answers import words
from loadtests.triton import TritonServer
from loadtests.triton.models.decoupled import PARTING
from loadtests.triton.models.script import Script
from tests.support.triton import RawTriton, Response, Tensor, batched, ints, texts
from tests.support.triton_questions import FIRST_FOUR, legacy, llmapi, question, said

ALL_CASES = pytest.mark.parametrize("model", ["llmapi", "ensemble", "tensorrt_llm_bls", "generic"])


async def refusal(client: RawTriton, model: str, tensors: dict[str, Tensor]) -> str:
    (refused,) = await client.all(model, tensors)
    assert refused.outputs == {}
    return refused.error


def test_the_scripted_text_is_the_fleets() -> None:
    assert tuple(piece.decode() for piece in Script(seed=5, tokens=60).pieces(60, [])) == words(5, 60)


@pytest.mark.parametrize("fault", ["error", "missing_output"])
@pytest.mark.parametrize("model", ["llmapi", "generic"])
async def test_who_leaves_for_a_fault_has_left_when_the_end_comes(
    triton: TritonServer, client: RawTriton, model: str, fault: str
) -> None:
    """Triton itself would now and then die of the two at once."""
    triton.need(model)
    tensors = question(model, f"@@fault={fault},after=0@@")
    came = [time.monotonic() async for _ in client.responses(model, tensors)]
    assert came[1] - came[0] > PARTING / 10


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
        responses = await client.all(model, question(model, f"@@fault=error,after={after}@@"))
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

"""The scan of Triton's answers, against the generated classes: equal for every message, and harmless for any bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from engines.triton.inference import Answers, Described, Memo
from engines.triton.request import encode_request
from engines.triton.tensors import Tensor

NAMES = st.sampled_from(["text_output", "num_output_tokens", "finish_reason", "x", "", "é" * 60])
OUTPUTS = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from(["BYTES", "INT32", "FP32", ""]),
        st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
        st.binary(max_size=300),
    ),
    max_size=4,
    unique_by=lambda output: output[0],
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["triton_final_response", "sequence_id", "other"]),
    st.one_of(st.booleans(), st.integers(0, 2**63 - 1), st.text(max_size=5), st.floats(allow_nan=False)),
)
Output = tuple[str, str, list[int], bytes]
TEXT: list[Output] = [("text_output", "BYTES", [1], b"x")]
FINAL: dict[str, Any] = {"triton_final_response": True}


def message(
    outputs: Sequence[Output], parameters: dict[str, Any] | None = None, *, error: str = "", request: str = "r"
) -> Any:
    answer = pb.ModelStreamInferResponse(error_message=error)
    inner = answer.infer_response
    inner.model_name, inner.model_version, inner.id = "model", "1", request
    for name, value in (parameters or {}).items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[type(value)]
        setattr(inner.parameters[name], kind, value)
    for name, datatype, shape, content in outputs:
        inner.outputs.add(name=name, datatype=datatype, shape=shape)
        inner.raw_output_contents.append(content)
    return answer


def read(answers: Answers, encoded: bytes) -> tuple[dict[str, bytes], str, bool]:
    outputs = answers.read(encoded)
    return outputs, answers.error, answers.final


def by_the_classes(encoded: bytes) -> tuple[dict[str, bytes], str, bool]:
    parsed = pb.ModelStreamInferResponse.FromString(encoded)
    inner = parsed.infer_response
    raw = dict(zip((output.name for output in inner.outputs), inner.raw_output_contents, strict=True))
    final = "triton_final_response" in inner.parameters and inner.parameters["triton_final_response"].bool_param
    return raw, parsed.error_message, final


@given(st.lists(st.tuples(OUTPUTS, PARAMETERS, st.text(max_size=5), st.integers(1, 2)), min_size=1, max_size=3))
@example([([("text_output", "BYTES", [1], b"x" * 200)], {"triton_final_response": False}, "", 2)])
def test_whatever_the_classes_write_is_read_as_they_read_it(
    stream: list[tuple[list[Output], dict[str, Any], str, int]],
) -> None:
    answers = Answers({}, Memo())
    for outputs, parameters, error, times in stream:
        encoded = message(outputs, parameters, error=error).SerializeToString()
        for _ in range(times):  # the second time by what was learned from the first
            assert read(answers, encoded) == by_the_classes(encoded)
            assert list(answers.described) == [Described(name, kind, tuple(shape)) for name, kind, shape, _ in outputs]


@given(OUTPUTS, st.binary(max_size=400), st.binary(max_size=20_000))
def test_learned_beginnings_hold_for_contents_of_any_length(outputs: list[Output], one: bytes, other: bytes) -> None:
    answers = Answers({}, Memo())
    for content in (one, other, one, b""):
        encoded = message([(name, kind, shape, content) for name, kind, shape, _ in outputs]).SerializeToString()
        assert read(answers, encoded) == by_the_classes(encoded)


@given(
    st.lists(
        st.tuples(
            st.text("abc-1", min_size=1, max_size=4),
            st.lists(st.tuples(OUTPUTS, PARAMETERS, st.sampled_from(["", "", "", "no"])), max_size=4),
        ),
        max_size=4,
    )
)
@example(
    [
        (name, [([("text_output", "BYTES", [1], b"x")], {}, ""), ([], {"triton_final_response": True}, "")])
        for name in "ab"
    ]
)
@example([("a", [([], {"triton_final_response": True}, "")]), ("model", [([], {"triton_final_response": True}, "")])])
def test_what_one_stream_has_learned_is_true_of_the_next(
    streams: list[tuple[str, list[tuple[list[Output], dict[str, Any], str]]]],
) -> None:
    memo = Memo()
    for name, stream in streams:
        answers = Answers({}, memo, name)
        for outputs, parameters, error in stream:
            encoded = message(outputs, parameters, error=error, request=name).SerializeToString()
            assert read(answers, encoded) == by_the_classes(encoded)
            assert list(answers.described) == [Described(name, kind, tuple(shape)) for name, kind, shape, _ in outputs]


@given(OUTPUTS, OUTPUTS, st.data())
def test_bytes_that_are_no_message_raise_value_error_only(
    first: list[Output], second: list[Output], data: st.DataObject
) -> None:
    answers = Answers({"x": "BYTES"}, Memo())
    encoded = bytearray(message(second, {"triton_final_response": True}).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(encoded)))
        encoded[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    for sent in (message(first).SerializeToString(), bytes(encoded), bytes(encoded)):
        try:
            outputs = answers.read(sent)
        except ValueError:
            continue
        assert all(isinstance(content, bytes) for content in outputs.values())


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_arbitrary_bytes_raise_value_error_only(stream: list[bytes]) -> None:
    answers = Answers({}, Memo())
    answers.read(message([("text_output", "BYTES", [1], b"text")]).SerializeToString())
    for sent in stream:
        try:
            outputs, error, final = read(answers, sent)
        except ValueError:
            continue
        parsed = pb.ModelStreamInferResponse.FromString(sent) if not outputs and not error and not final else None
        assert parsed is None or not parsed.infer_response.raw_output_contents


def test_what_was_learned_is_forgotten_where_an_answer_differs() -> None:
    answers = Answers({}, Memo())
    text = ("text_output", "BYTES", [1], b"a")
    stream = [
        message([text], {"triton_final_response": False}),
        message([text], {"triton_final_response": False}),
        message([text, ("n", "INT32", [1], b"\1\0\0\0")], {"triton_final_response": False}),
        message([text], {"triton_final_response": True}),
        message([], {"triton_final_response": True}),
        message([], error="no"),
        message([text], {"triton_final_response": False}, request="another"),
    ]
    for answer in stream:
        encoded = answer.SerializeToString()
        assert read(answers, encoded) == by_the_classes(encoded)


@pytest.mark.parametrize(
    ("outputs", "contents"),
    [
        ([("text_output", "INT32")], [b"1234"]),
        ([("text_output", "BYTES")], []),
        ([], [b"1"]),
        ([("a", "BYTES"), ("a", "BYTES")], [b"1", b"2"]),
    ],
    ids=["another datatype", "no contents", "contents of nothing", "twice the same"],
)
def test_a_server_that_lies_is_not_believed(outputs: list[tuple[str, str]], contents: list[bytes]) -> None:
    answer = pb.ModelStreamInferResponse()
    for name, datatype in outputs:
        answer.infer_response.outputs.add(name=name, datatype=datatype, shape=[1])
    answer.infer_response.raw_output_contents.extend(contents)
    with pytest.raises(ValueError, match=r"datatype|contents|twice"):
        Answers({"text_output": "BYTES"}, Memo()).read(answer.SerializeToString())


def test_descriptions_are_remembered_up_to_a_bound() -> None:
    memo = Memo()
    for size in range(3000):
        Answers({}, memo).read(message([("x", "BYTES", [size], b"")]).SerializeToString())
    assert len(memo.described) == 1024


def test_a_request_is_what_the_classes_read_back() -> None:
    tensors = [Tensor("text_input", "BYTES", (1, 1), b"\2\0\0\0hi"), Tensor("stream", "BOOL", (1, 1), b"\1")]
    sent = pb.ModelInferRequest.FromString(encode_request("model", "3", "call-1", tensors))
    assert (sent.model_name, sent.model_version, sent.id) == ("model", "3", "call-1")
    assert [(one.name, one.datatype, tuple(one.shape)) for one in sent.inputs] == [one[:3] for one in tensors]
    assert list(sent.raw_input_contents) == [one.content for one in tensors]
    assert list(sent.parameters) == ["triton_enable_empty_final_response"]
    assert sent.parameters["triton_enable_empty_final_response"].bool_param

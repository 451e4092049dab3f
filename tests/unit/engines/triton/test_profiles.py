"""What the profiles make of models that are not as published, of adapters, and of answers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from engines.api import Kind, Rejected
from engines.text.asked import read
from engines.triton.profiles import PROFILES, detect
from engines.triton.profiles.api import Adapter, Declared, ModelFacts, Step, TensorMap
from engines.triton.tensors import Tensor
from tests.support.golden_table import COLUMNS, call, facts, profile

ADAPTER = Adapter("poet", 7, "/adapters/poet")


def changed(model: str, *without: str, **inputs: Declared) -> ModelFacts:
    published = facts(model)
    kept = {name: it for name, it in published.inputs.items() if name not in without}
    return replace(published, inputs=kept | inputs)


def asked(model: ModelFacts, kind: Kind = "chat", **members: Any) -> dict[str, Tensor]:
    it = PROFILES[detect(model)](model)
    request = read(call(kind, **members))
    it.check(request)
    return {tensor.name: tensor for tensor in it.tensors(request, "hi")}


def text(*texts: str) -> bytes:
    return b"".join(len(one.encode()).to_bytes(4, "little") + one.encode() for one in texts)


def number(value: int) -> bytes:
    return struct.pack("<i", value)


def test_only_one_batch_dimension_and_only_where_there_is_one() -> None:
    unbatched = replace(facts("ensemble"), max_batch_size=0)
    assert asked(unbatched, seed=1)["seed"].shape == (1,)
    assert asked(unbatched, stop=["a", "b"])["stop_words"].shape == (2,)


@pytest.mark.parametrize(
    ("model", "name", "members", "param"),
    [
        ("llmapi", "sampling_param_seed", {"seed": 1}, "seed"),
        ("ensemble", "min_tokens", {"min_tokens": 1}, "min_tokens"),
        ("ensemble", "guided_decoding_guide", {"response_format": {"type": "json_object"}}, "response_format"),
        ("bls", "return_log_probs", {"logprobs": True}, "logprobs"),
    ],
)
def test_a_parameter_without_its_input_is_refused(model: str, name: str, members: dict[str, Any], param: str) -> None:
    assert asked(facts(model), **members)
    with pytest.raises(Rejected) as refused:
        asked(changed(model, name), **members)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")


@pytest.mark.parametrize("name", ["stream", "exclude_input_in_output", "return_num_input_tokens", "stop_words"])
def test_what_the_gateway_asks_for_itself_is_left_out_without_its_input(name: str) -> None:
    assert name not in asked(changed("ensemble", name), stop="x")


def test_a_greedy_choice_without_top_k_is_a_temperature_of_nothing() -> None:
    sent = asked(changed("llmapi", "sampling_param_top_k"), temperature=1e-300, top_p=0.5)
    assert sent["sampling_param_temperature"].content == bytes(4)
    assert "sampling_param_top_p" not in sent


def test_no_top_p_is_sent_that_is_nothing() -> None:
    sent = asked(changed("ensemble", "top_k"), top_p=0)
    assert sent["top_p"].content == struct.pack("<f", 1e-5)


def test_an_older_type_of_an_input_is_written_as_it_is_declared() -> None:
    sent = asked(changed("ensemble", seed=Declared("INT64"), max_tokens=Declared("UINT32")), seed=5)
    assert (sent["seed"].datatype, sent["seed"].content) == ("INT64", struct.pack("<q", 5))
    assert (sent["max_tokens"].datatype, sent["max_tokens"].content) == ("UINT32", struct.pack("<I", 16))


def test_stop_strings_are_kept_from_a_model_that_takes_only_one() -> None:
    one = changed("ensemble", stop_words=Declared("BYTES", (1,)))
    assert asked(one, stop=["a"])["stop_words"].content == text("a")
    assert "stop_words" not in asked(one, stop=["a", "b"])


def test_a_server_that_can_t_stream_is_not_asked_to() -> None:
    assert asked(replace(facts("llmapi"), decoupled=False))["streaming"].content == b"\0"
    assert asked(replace(facts("bls"), decoupled=False))["stream"].content == b"\0"


def test_a_cap_that_was_lowered_lowers_what_is_demanded() -> None:
    request = read(call("chat", min_tokens=10))
    request.max_tokens = 4
    sent = {tensor.name: tensor.content for tensor in profile("ensemble").tensors(request, "hi")}
    assert (sent["min_tokens"], sent["max_tokens"]) == (number(4), number(4))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (changed("llmapi", "text_input"), "has no input 'text_input'"),
        (changed("llmapi", "sampling_param_max_tokens"), "has no input 'sampling_param_max_tokens'"),
        (changed("ensemble", max_tokens=Declared("FP32", (3,))), r"shape \[3\]"),
        (changed("ensemble", top_p=Declared("INT32")), "datatype INT32"),
        (changed("ensemble", temperature=Declared("BF16")), "datatype BF16"),
        (changed("bls", tenant=Declared("BYTES", (1,), optional=False)), "requires inputs that are not known: tenant"),
        (replace(facts("llmapi"), outputs={}), "has no output 'text_output'"),
        (replace(facts("bls"), outputs={"text_output": Declared("INT32")}), "has no output 'text_output' of BYTES"),
    ],
    ids=range(8),
)
def test_a_model_that_does_not_fit_is_told_to_the_operator(model: ModelFacts, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PROFILES[detect(model)](model)


@pytest.mark.parametrize(
    "tensors",
    [
        TensorMap(text_output="ANSWER"),
        TensorMap(text_input="PROMPT"),
        TensorMap(text_input="PROMPT", text_output="ANSWER", parameters={"top_k": "K"}),
        TensorMap(text_input="PROMPT", text_output="ANSWER", parameters={"n": "SEED"}),
        TensorMap(text_input="PROMPT", text_output="ANSWER", prompt_tokens="COUNT"),
        TensorMap(text_input="PROMPT", embedding="ANSWER"),
    ],
    ids=range(6),
)
def test_a_map_that_does_not_fit_is_told_to_the_operator(tensors: TensorMap) -> None:
    with pytest.raises(ValueError, match=r"input|output"):
        PROFILES["generic"](facts("generic"), None, tensors)


def test_an_adapter_goes_with_each_request() -> None:
    request = read(call("chat"))
    sent = {tensor.name: tensor for tensor in profile("llmapi", ADAPTER).tensors(request, "hi")}
    assert sent["lora_id"] == Tensor("lora_id", "UINT64", (1,), struct.pack("<Q", 7))
    assert sent["lora_name"] == Tensor("lora_name", "BYTES", (1,), text("poet"))
    assert sent["lora_path"] == Tensor("lora_path", "BYTES", (1,), text("/adapters/poet"))
    for model in ("ensemble", "bls"):
        sent = {tensor.name: tensor for tensor in profile(model, ADAPTER).tensors(request, "hi")}
        assert sent["lora_task_id"] == Tensor("lora_task_id", "UINT64", (1, 1), struct.pack("<Q", 7))


@pytest.mark.parametrize("member", ["lora_path", "lora_name", "lora_task_id", "lora_request"])
def test_a_caller_can_name_no_adapter(member: str) -> None:
    with pytest.raises(Rejected) as refused:
        read(call("chat", **{member: "x"}))
    assert refused.value.param == member


def test_an_adapter_needs_a_model_that_takes_one() -> None:
    for model, name in (("llmapi", "lora_path"), ("ensemble", "lora_task_id")):
        with pytest.raises(ValueError, match=name):
            PROFILES[model](changed(model, name), ADAPTER)
    with pytest.raises(ValueError, match="needs the path"):
        PROFILES["llmapi"](facts("llmapi"), Adapter("poet", 7))
    with pytest.raises(ValueError, match="Adapters"):
        profile("generic", ADAPTER)


@pytest.mark.parametrize("model", ["llmapi", "bls"])
def test_no_address_of_an_image_reaches_a_server(model: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}}
    request = read(call("chat", messages=[{"role": "user", "content": [image]}]))
    profile(model).check(request)
    with pytest.raises(Rejected) as refused:
        profile(model).tensors(request, "hi")
    assert refused.value.param == "messages[0].content[0]"


def test_two_images_do_not_fit_into_one() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    request = read(call("chat", messages=[{"role": "user", "content": [image, image]}]))
    assert len(profile("llmapi").tensors(request, "hi"))
    with pytest.raises(Rejected) as refused:
        profile("bls").tensors(request, "hi")
    assert refused.value.param == "messages[0].content[1]"


@pytest.mark.parametrize("model", [*COLUMNS, "embedding"])
def test_a_model_does_what_it_does_and_nothing_else(model: str) -> None:
    it = profile(model)
    assert it.embeds is (model == "embedding")
    with pytest.raises(Rejected) as refused:
        it.check(read(call("chat" if it.embeds else "embedding")))
    assert (refused.value.param, refused.value.code) == ("model", "unsupported_endpoint")


def test_whether_text_repeats_is_known() -> None:
    assert [profile(model).cumulative for model in COLUMNS] == [True, False, False, False]
    accumulating = replace(facts("bls"), parameters={"accumulate_tokens": "True"})
    assert PROFILES["bls"](accumulating).cumulative
    repeating = TensorMap(text_input="PROMPT", text_output="ANSWER", cumulative=True)
    assert PROFILES["generic"](facts("generic"), None, repeating).cumulative


STEPS: list[tuple[str, Mapping[str, bytes], Step]] = [
    ("llmapi", {"text_output": text("Hé")}, Step("Hé".encode())),
    ("llmapi", {"finish_reason": text("None"), "text_output": text("")}, Step(b"")),
    ("llmapi", {"finish_reason": text("length"), "text_output": text("a")}, Step(b"a", "length")),
    ("llmapi", {"text_output": text("a"), "cumulative_logprob": text("-1.5")}, Step(b"a")),
    ("ensemble", {"text_output": text(" a")}, Step(b" a")),
    ("ensemble", {"num_output_tokens": number(2), "num_input_tokens": number(9), "text_output": text("a")},
     Step(b"a", None, 9, 2)),
    ("bls", {"text_output": text("a"), "output_log_probs": struct.pack("<2f", -0.5, float("-inf"))},
     Step(b"a", logprobs=(-0.5, -9999.0))),
    ("ensemble", {"text_output": b"\x01\x00\x00\x00\xc3"}, Step(b"\xc3")),
    ("generic", {"ANSWER": text("a"), "text_output": b"?"}, Step(b"a")),
]  # fmt: skip


@pytest.mark.parametrize(("model", "outputs", "step"), STEPS, ids=range(len(STEPS)))
def test_an_answer_is_read(model: str, outputs: Mapping[str, bytes], step: Step) -> None:
    assert profile(model).step(outputs) == step


LIES: list[tuple[str, Mapping[str, bytes]]] = [
    ("llmapi", {}),
    ("llmapi", {"finish_reason": text("stop")}),
    ("llmapi", {"text_output": b""}),
    ("llmapi", {"text_output": text("a", "b")}),
    ("llmapi", {"text_output": b"\xff\xff\xff\xffab"}),
    ("llmapi", {"text_output": text("a"), "finish_reason": b"stop"}),
    ("ensemble", {"text_output": struct.pack("<f", 1.5)}),
    ("ensemble", {"text_output": text("a"), "num_output_tokens": text("1")}),
    ("ensemble", {"text_output": text("a"), "num_output_tokens": number(-1)}),
    ("ensemble", {"text_output": text("a"), "num_input_tokens": struct.pack("<q", 5)}),
    ("bls", {"text_output": text("a"), "output_log_probs": text("0.5")}),
    ("bls", {"text_output": text("a"), "output_log_probs": struct.pack("<f", float("nan"))}),
    ("generic", {"text_output": text("a")}),
    ("embedding", {"VECTOR": bytes(384 * 4)}),
]


@pytest.mark.parametrize(("model", "outputs"), LIES, ids=range(len(LIES)))
def test_an_answer_that_can_t_be_one_is_no_step(model: str, outputs: Mapping[str, bytes]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        profile(model).step(outputs)


def test_a_generic_model_tells_what_it_is_configured_to_tell() -> None:
    outputs = {
        "text_output": Declared("BYTES"), "why": Declared("BYTES"), "in": Declared("INT32"), "out": Declared("INT32"),
    }  # fmt: skip
    model = ModelFacts("m", inputs={"text_input": Declared("BYTES")}, outputs=outputs)
    it = PROFILES["generic"](model, None, TensorMap(finish_reason="why", prompt_tokens="in", completion_tokens="out"))
    assert it.expected == {"text_output": "BYTES", "why": "BYTES", "in": "INT32", "out": "INT32"}
    answer = {"text_output": text("a"), "why": text("stop"), "in": number(3), "out": number(1)}
    assert it.step(answer) == Step(b"a", "stop", 3, 1)


def test_a_vector_is_read_and_has_the_width_that_was_promised() -> None:
    it = profile("embedding")
    assert list(it.vector({"VECTOR": struct.pack("<384f", *range(384))})) == list(range(384))
    for lie in ({}, {"VECTOR": b""}, {"VECTOR": bytes(383 * 4)}, {"VECTOR": bytes(384 * 4 + 1)}):
        with pytest.raises(ValueError, match="no vector"):
            it.vector(lie)
    for odd in ("nan", "inf", "-inf"):  # JSON has no word for them
        with pytest.raises(ValueError, match="numbers that are none"):
            it.vector({"VECTOR": struct.pack("<384f", *range(382), float(odd), float("inf"))})
    with pytest.raises(ValueError, match="no embeddings"):
        profile("llmapi").vector({})


def test_a_model_of_another_kind_is_generic() -> None:
    assert detect(facts("embedding")) == "generic"
    assert detect(replace(facts("bls"), backend="vllm")) == "generic"


@pytest.mark.parametrize("model", [*COLUMNS, "embedding"])
def test_a_profile_says_what_it_is(model: str) -> None:
    assert repr(profile(model)).startswith("<")
    assert model in repr(profile(model))


@pytest.mark.parametrize(
    ("members", "fits"),
    [({"temperature": 0.5}, True), ({"top_p": 0.5}, True), ({"top_k": 2}, True), ({"seed": 1}, False),
     ({"top_k": 1, "temperature": 1}, False), ({"temperature": 0}, False), ({"top_p": 0, "temperature": 1}, False)],
    ids=str,
)  # fmt: skip
def test_the_best_of_several_wants_several_to_choose_from(members: dict[str, Any], fits: bool) -> None:
    request = read(call("completion", best_of=2, **members))
    if fits:
        profile("llmapi").check(request)
        assert "sampling_param_best_of" in {tensor.name for tensor in profile("llmapi").tensors(request, "hi")}
        return
    with pytest.raises(Rejected) as refused:
        profile("llmapi").check(request)
    assert (refused.value.param, refused.value.code) == ("best_of", "invalid_value")

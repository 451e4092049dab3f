"""What is known of a model from its own config and those of the models inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from engines.api import EngineError, Failed, Rejected
from engines.grpc.api import Code, RpcError
from engines.triton.model import Model
from engines.triton.options import TritonOptions
from engines.triton.profiles.api import ModelFacts
from engines.triton.repository import Repository
from tests.support.golden_table import facts
from tests.support.scripted_rpc import ScriptedChannel, ScriptedRpc

UNKNOWN = RpcError(Code.NOT_FOUND, "Request for unknown model: 'x' is not found")
STEPS = ("preprocessing", "tensorrt_llm", "postprocessing")


class Server:
    """A channel to a server with these models."""

    def __init__(self, *models: ModelFacts, broken: RpcError = UNKNOWN) -> None:
        self._models: Mapping[str, ModelFacts] = {model.name: model for model in models}
        self._broken = broken

    def open(self, method: str, message: bytes, **_how: Any) -> Any:
        assert method.endswith("/ModelConfig")
        model = self._models.get(service_pb2.ModelConfigRequest.FromString(message).name)
        if model is None:
            return ScriptedRpc(end=self._broken)
        return ScriptedRpc([service_pb2.ModelConfigResponse(config=config(model)).SerializeToString()])

    async def aclose(self) -> None:
        """Holds nothing."""


def config(model: ModelFacts) -> Any:
    made = model_config_pb2.ModelConfig(
        name=model.name, platform=model.platform, backend=model.backend, max_batch_size=model.max_batch_size
    )
    made.model_transaction_policy.decoupled = model.decoupled
    for declared, tensors in ((model.inputs, made.input), (model.outputs, made.output)):
        for name, tensor in declared.items():
            datatype = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
            tensors.add(name=name, data_type=f"TYPE_{datatype}", dims=tensor.dims)
    for tensor in made.input:
        tensor.optional = model.inputs[tensor.name].optional
    for name, value in model.parameters.items():
        made.parameters[name].string_value = value
    for step in model.steps:
        made.ensemble_scheduling.step.add(model_name=step)
    return made


def told(name: str, **parameters: str) -> ModelFacts:
    return ModelFacts(name, parameters=parameters)


async def read(name: str, *models: ModelFacts, broken: RpcError = UNKNOWN, **options: Any) -> Model:
    channel: Any = Server(*models, broken=broken)
    return await Model.read(Repository(channel), name, TritonOptions(url="localhost:1", **options))


async def test_p29_an_ensemble_s_limits_are_those_of_its_steps() -> None:
    whole = replace(facts("ensemble"), steps=STEPS)
    parts = [told("preprocessing", max_input_len="900"), told("tensorrt_llm", max_seq_len="1001"), told(STEPS[2])]
    model = await read("ensemble", whole, *parts)
    assert (model.limits.sequence, model.limits.longest_prompt) == (1001, 900)
    assert model.generates == "tensorrt_llm"
    with pytest.raises(Rejected, match=r"\b900\b.*\b901\b") as refused:
        model.limits.check(901, 1)
    assert refused.value.code == "context_length_exceeded"


async def test_a_step_may_have_any_name() -> None:
    whole = replace(facts("ensemble"), steps=("before", "mistral", "after"))
    mistral = replace(told("mistral", max_seq_len="77"), backend="tensorrtllm")
    model = await read("ensemble", whole, told("before"), mistral, told("after"))
    assert (model.generates, model.limits.sequence) == ("mistral", 77)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [({}, "tensorrt_llm"), ({"tensorrt_llm_model_name": "${tensorrt_llm_model_name}"}, "tensorrt_llm"),
     ({"tensorrt_llm_model_name": "mistral"}, "mistral")],
    ids=range(3),
)  # fmt: skip
async def test_p29_what_a_bls_model_calls_limits_it(parameters: dict[str, str], name: str) -> None:
    whole = replace(facts("bls"), name="tensorrt_llm_bls", parameters=parameters)
    model = await read("tensorrt_llm_bls", whole, replace(told(name, max_seq_len="512"), backend="tensorrtllm"))
    assert (model.profile.name, model.generates, model.limits.sequence) == ("bls", name, 512)


async def test_a_config_tells_how_many_instances_execute_at_a_time() -> None:
    """On each of the GPUs that a group names, once these are known."""
    made = config(facts("bls"))
    made.instance_group.add(count=2)
    made.instance_group.add(count=3, gpus=[0, 1])
    made.dynamic_batching.SetInParent()
    answer = service_pb2.ModelConfigResponse(config=made).SerializeToString()
    told = await Repository(ScriptedChannel(ScriptedRpc([answer]))).facts("bls")
    assert (told.instances, told.batches) == (8, True)
    plain = service_pb2.ModelConfigResponse(config=config(facts("bls"))).SerializeToString()
    told = await Repository(ScriptedChannel(ScriptedRpc([plain]))).facts("bls")
    assert (told.instances, told.batches) == (0, False)


async def test_a_bls_model_whose_engine_is_not_known_is_served_without_its_limits() -> None:
    model = await read("bls", facts("bls"))
    assert (model.limits.sequence, model.generates) == (None, "bls")


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED])
@pytest.mark.parametrize("name", ["ensemble", "bls"])
async def test_while_its_parts_do_not_answer_a_model_is_not_known(name: str, code: Code) -> None:
    with pytest.raises(EngineError):
        await read(name, replace(facts(name), steps=STEPS), broken=RpcError(code, "away"))


@pytest.mark.parametrize("name", ["llmapi", "ensemble", "bls"])
async def test_a_model_of_a_known_kind_is_generic_only_by_the_names_of_its_tensors(name: str) -> None:
    """Without them its text, which may be all so far each time, would be taken for what is new."""
    for options in ({"profile": "generic"}, {"tensors": {"cumulative": True}}):
        with pytest.raises(Failed) as failed:
            await read(name, facts(name), **options)
        assert f"'{name}' is of the kind {name}" in str(failed.value.__cause__)
        assert name not in failed.value.message


async def test_who_names_the_tensors_may_take_any_model_for_a_generic_one() -> None:
    model = await read("llmapi", facts("llmapi"), profile="generic", tensors={"cumulative": True})
    assert model.profile.name == "generic"
    assert model.profile.cumulative


async def test_a_datatype_that_is_not_known_is_no_reason_to_fail() -> None:
    """A newer server has more of them; only an input that is to be written has to have one that we know."""
    made = config(facts("generic"))
    made.input.add(name="extra", data_type=99, optional=True)
    answer = service_pb2.ModelConfigResponse(config=made).SerializeToString()
    told = await Repository(ScriptedChannel(ScriptedRpc([answer]))).facts("generic")
    assert (told.inputs["extra"].datatype, told.inputs["extra"].optional) == ("number 99", True)

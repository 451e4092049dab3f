"""What the replaying Triton says: the messages of an answer, and a config by which a gateway takes it for llmapi."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

MODEL = "tensorrt_llm"
WORD = " snow"


def text(tokens: int) -> str:
    """The whole of an answer."""
    return WORD * tokens


def answers(request: bytes, tokens: int) -> list[bytes]:
    """One message per token, of all text so far, and the empty one at the end."""
    ident = service_pb2.ModelInferRequest.FromString(request).id
    return [_answer(ident, text(n + 1).encode()) for n in range(tokens)] + [_final(ident)]


def config() -> bytes:
    """A ModelConfigResponse."""
    config = model_config_pb2.ModelConfig(name=MODEL, backend="python")
    config.model_transaction_policy.decoupled = True
    for name, kind in (
        ("text_input", "STRING"),
        ("streaming", "BOOL"),
        ("sampling_param_max_tokens", "INT32"),
        ("sampling_param_temperature", "FP32"),
        ("sampling_param_exclude_input_from_output", "BOOL"),
        ("return_finish_reason", "BOOL"),
    ):
        config.input.add(name=name, data_type=f"TYPE_{kind}", dims=[1], optional=name != "text_input")
    config.output.add(name="text_output", data_type="TYPE_STRING", dims=[-1])
    return _bytes(service_pb2.ModelConfigResponse(config=config))


def ready() -> bytes:
    """A ModelReadyResponse, or a ServerLiveResponse: they look the same."""
    return _bytes(service_pb2.ModelReadyResponse(ready=True))


def request(prompt: str, tokens: int) -> Any:
    """A ModelInferRequest as the bare reader sends it."""
    message = service_pb2.ModelInferRequest(model_name=MODEL, id="bare-reader-00000001-0")
    for name, kind, content in (
        ("text_input", "BYTES", len(prompt).to_bytes(4, "little") + prompt.encode()),
        ("streaming", "BOOL", b"\1"),
        ("sampling_param_max_tokens", "INT32", tokens.to_bytes(4, "little")),
    ):
        message.inputs.add(name=name, datatype=kind, shape=[1])
        message.raw_input_contents.append(content)
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    return message


def _answer(ident: str, content: bytes) -> bytes:
    message = service_pb2.ModelStreamInferResponse()
    response = message.infer_response
    response.model_name, response.model_version, response.id = MODEL, "1", ident
    response.parameters["triton_final_response"].bool_param = False
    response.outputs.add(name="text_output", datatype="BYTES", shape=[1])
    response.raw_output_contents.append(len(content).to_bytes(4, "little") + content)
    return _bytes(message)


def _final(ident: str) -> bytes:
    message = service_pb2.ModelStreamInferResponse()
    message.infer_response.model_name, message.infer_response.id = MODEL, ident
    message.infer_response.parameters["triton_final_response"].bool_param = True
    return _bytes(message)


def _bytes(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded

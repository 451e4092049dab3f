"""What the models of TensorRT-LLM on Triton declare: inputs, outputs, and their configuration as Triton tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ContractName = Literal["llmapi", "ensemble"]
VERSION = "1"
_MAX_BATCH = 64


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output. `dims` are without the batch dimension; -1: any length."""

    name: str
    datatype: str
    dims: tuple[int, ...] = (1,)
    optional: bool = True


def _tensors(datatype: str, names: str, *dims: int, optional: bool = True) -> list[Tensor]:
    return [Tensor(name, datatype, dims or (1,), optional) for name in names.split()]


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a repository."""

    name: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    backend: str = "python"
    platform: str = ""
    max_batch_size: int = 0
    decoupled: bool = True
    steps: tuple[str, ...] = ()
    """Of an ensemble, the models it is composed of."""

    @property
    def required(self) -> list[str]:
        return [tensor.name for tensor in self.inputs.values() if not tensor.optional]

    def shape(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        """As it is on the wire."""
        return (1, *dims) if self.max_batch_size else dims


@dataclass(frozen=True, slots=True)
class Contract:
    """The models of one repository, and the one that takes and gives text."""

    name: ContractName
    served: Model
    composing: tuple[Model, ...] = ()
    models: dict[str, Model] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", {model.name: model for model in (self.served, *self.composing)})


def _model(name: str, inputs: list[Tensor], outputs: list[Tensor], **rest: Any) -> Model:
    return Model(name, {one.name: one for one in inputs}, {one.name: one for one in outputs}, **rest)


_BLOCKS = "kv_cache_alloc_new_blocks kv_cache_reused_blocks kv_cache_alloc_total_blocks"
_TIMES = "arrival_time_ns first_scheduled_time_ns first_token_time_ns last_token_time_ns"
_DRAFTS = "total_accepted_draft_tokens total_draft_tokens"

_LLMAPI = _model(
    "tensorrt_llm",
    [
        *_tensors("BYTES", "text_input", -1, optional=False),
        *_tensors("BYTES", "image_url sampling_param_stop", -1),
        *_tensors("BYTES", "sampling_param_logits_post_processor_name lora_name lora_path lora_ckpt_source"),
        *_tensors("INT32", "sampling_param_max_tokens sampling_param_best_of sampling_param_top_k"),
        *_tensors("UINT64", "sampling_param_seed lora_id"),
        *_tensors("FP32", "sampling_param_temperature sampling_param_top_p"),
        *_tensors("FP32", "sampling_param_frequency_penalty sampling_param_presence_penalty"),
        *_tensors("BOOL", "streaming stop sampling_param_exclude_input_from_output sampling_param_return_perf_metrics"),
        *_tensors("BOOL", "return_finish_reason return_stop_reason return_cumulative_logprob"),
    ],
    [
        *_tensors("BYTES", "text_output finish_reason stop_reason", -1),
        *_tensors("FP32", "cumulative_logprob kv_cache_hit_rate acceptance_rate", -1),
        *_tensors("INT32", "kv_cache_reused_block kv_cache_missed_block", -1),
        *_tensors("INT32", f"kv_cache_alloc_new_blocks kv_cache_alloc_total_blocks {_DRAFTS}", -1),
        *_tensors("INT64", _TIMES, -1),
    ],
)

_FLAGS = (
    "exclude_input_in_output return_log_probs return_context_logits return_generation_logits return_perf_metrics "
    "return_num_input_tokens return_num_output_tokens"
)
_LOGITS = [
    *_tensors("FP32", "cum_log_probs", -1),
    *_tensors("FP32", "output_log_probs context_logits", -1, -1),
    *_tensors("FP32", "generation_logits", -1, -1, -1),
]
_COUNTS = [
    *_tensors("INT32", f"batch_index sequence_index num_input_tokens num_output_tokens {_BLOCKS}"),
    *_tensors("INT64", _TIMES),
    *_tensors("FP32", "acceptance_rate"),
    *_tensors("INT32", _DRAFTS),
]

_ENSEMBLE = _model(
    "ensemble",
    [
        *_tensors("BYTES", "text_input", optional=False),
        *_tensors("INT32", "max_tokens", optional=False),
        *_tensors("BYTES", "decoder_text_input guided_decoding_guide_type guided_decoding_guide"),
        *_tensors("BYTES", "bad_words stop_words embedding_bias_words", -1),
        *_tensors("INT32", "num_return_sequences end_id pad_id top_k min_tokens beam_width prompt_vocab_size"),
        *_tensors("INT32", "lora_config", -1, 3),
        *_tensors("FP32", "top_p temperature length_penalty repetition_penalty presence_penalty frequency_penalty"),
        *_tensors("FP32", "embedding_bias_weights", -1),
        *_tensors("UINT64", "seed prompt_table_extra_id lora_task_id"),
        *_tensors("BOOL", f"stream {_FLAGS}"),
        *_tensors("FP16", "prompt_embedding_table lora_weights", -1, -1),
    ],
    [*_tensors("BYTES", "text_output", -1), *_LOGITS, *_COUNTS],
    platform="ensemble",
    backend="",
    max_batch_size=_MAX_BATCH,
    steps=("preprocessing", "tensorrt_llm", "postprocessing"),
)

_ENGINE = _model(
    "tensorrt_llm",
    [
        *_tensors("INT32", "input_ids", -1, optional=False),
        *_tensors("INT32", "input_lengths request_output_len", optional=False),
        *_tensors("BOOL", f"stop streaming {_FLAGS}"),
    ],
    [*_tensors("INT32", "output_ids", -1, -1), *_tensors("INT32", "sequence_length", -1), *_LOGITS, *_COUNTS],
    backend="tensorrtllm",
    max_batch_size=_MAX_BATCH,
)
_BEFORE = _model(
    "preprocessing",
    [
        *_tensors("BYTES", "QUERY", optional=False),
        *_tensors("INT32", "REQUEST_OUTPUT_LEN", optional=False),
        *_tensors("BYTES", "BAD_WORDS_DICT STOP_WORDS_DICT", -1),
    ],
    [*_tensors("INT32", "INPUT_ID", -1), *_tensors("INT32", "REQUEST_INPUT_LEN")],
    max_batch_size=_MAX_BATCH,
    decoupled=False,
)
_AFTER = _model(
    "postprocessing",
    [
        *_tensors("INT32", "TOKENS_BATCH", -1, -1, optional=False),
        *_tensors("INT32", "SEQUENCE_LENGTH", -1, optional=False),
    ],
    [*_tensors("BYTES", "OUTPUT", -1)],
    max_batch_size=_MAX_BATCH,
    decoupled=False,
)

CONTRACTS: dict[ContractName, Contract] = {
    "llmapi": Contract("llmapi", _LLMAPI),
    "ensemble": Contract("ensemble", _ENSEMBLE, (_BEFORE, _ENGINE, _AFTER)),
}

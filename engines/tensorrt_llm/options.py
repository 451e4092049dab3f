"""What a configuration says of a model that TensorRT-LLM runs on this machine's GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.choices import OneOf
from engines.generating.adapters import AdapterOptions
from engines.generating.cancelling import CancelPolicy
from engines.generating.limits import Limits, Policy
from engines.tensorrt_llm.package import Settings
from engines.tensorrt_llm.wire import Adapter
from engines.text.tools import TOOL_PARSERS


class TensorrtLlmOptions(BaseModel):
    """One replica: one child process with one model, on as many GPUs as it is spread over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        min_length=1,
        description="A folder with the weights, or a name of the Hugging Face hub.",
        examples=["/models/llama"],
    )
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs that share the model.")
    max_batch_size: int | None = Field(None, ge=1, description="Texts generated at a time.")
    max_num_tokens: int | None = Field(
        None, ge=1, description="Tokens of one step, and so of a prompt, unless chunked."
    )
    max_seq_len: int | None = Field(None, ge=2, description="Longest prompt and answer together, in tokens.")
    chunked_prefill: bool = Field(default=False, description="Whether longer prompts are taken in several steps.")
    kv_cache_fraction: float | None = Field(None, gt=0, lt=1, description="Share of free GPU memory for the KV cache.")
    guided_decoding: Literal["xgrammar", "llguidance"] | None = Field(
        None, description="What makes texts follow a format; none refuses formats."
    )
    adapter: AdapterOptions | None = Field(None, description="A LoRA adapter; callers can't choose one.")
    arguments: dict[str, Any] = Field({}, description="Further keyword arguments of tensorrt_llm.LLM.")
    tokenizer: Path | None = Field(None, description="Where the model's own folder is not the one to use.")
    chat_template: Path | None = Field(None, description="Where the tokenizer's own is not the one to use.")
    tools: Annotated[str, OneOf(TOOL_PARSERS)] | None = Field(None, description="How it writes its tool calls.")
    reasoning: bool = Field(default=False, description="Whether it thinks in <think>…</think> before it answers.")
    too_long: Policy = Field("clamp", description="Whether an answer that may become too long is cut or refused.")
    cancel_policy: CancelPolicy = Field(
        "cancel", description="Whether generations that nobody waits for are cancelled, or left to end."
    )
    cancel_rate: float | None = Field(None, gt=0, description="Most cancellations in a second.")

    @model_validator(mode="after")
    def _once(self) -> Self:
        twice = sorted(self.settings().arguments.keys() & self.arguments.keys())
        if twice:
            raise ValueError(f"arguments repeats what is set elsewhere: {', '.join(twice)}")
        return self

    def settings(self) -> Settings:
        """Those of the LLM, but for `arguments`; what is not set is left to it."""
        told = {
            "model": self.model,
            "tokenizer": None if self.tokenizer is None else str(self.tokenizer),
            "tensor_parallel_size": self.tensor_parallel_size,
            "max_batch_size": self.max_batch_size,
            "max_num_tokens": self.max_num_tokens,
            "max_seq_len": self.max_seq_len,
            "enable_chunked_prefill": self.chunked_prefill or None,
            "guided_decoding_backend": self.guided_decoding,
        }
        kv_cache = {} if self.kv_cache_fraction is None else {"free_gpu_memory_fraction": self.kv_cache_fraction}
        return Settings({name: value for name, value in told.items() if value is not None}, kv_cache)

    def limits(self) -> Limits:
        """As far as they are set: others only the LLM knows."""
        return Limits(self.max_seq_len, None if self.chunked_prefill else self.max_num_tokens, self.too_long)

    def tokenizer_path(self) -> Path | None:
        """Where prompts are counted and chats written down by; None for a model that is fetched."""
        own = Path(self.model)
        return self.tokenizer or (own if own.is_dir() else None)

    def lora(self) -> Adapter | None:
        return None if self.adapter is None else Adapter(self.adapter.name, self.adapter.id, self.adapter.path)

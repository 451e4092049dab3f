"""The package `tensorrt_llm` as the child uses it: what is called, by which names, and nothing else of it.

Nothing here but `load` imports it, so that it can be missing. `tests/support/fake_tensorrt_llm` stands in for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import msgspec

from engines.tensorrt_llm.wire import Adapter, Wanted

MISSING = (
    "The package tensorrt_llm can't be used here ({}). Install it, in Snowshed's folder, with"
    " pip install '.[tensorrt-llm]'; it needs Linux, an NVIDIA GPU with its driver, and the CUDA and MPI libraries that"
    " its release notes name."
)


class Settings(msgspec.Struct):
    """`arguments` are those of `tensorrt_llm.LLM`; `kv_cache` those of `KvCacheConfig`, none leaves it out."""

    arguments: dict[str, Any]
    kv_cache: dict[str, Any] = {}


class Output(Protocol):
    """One text so far: a `CompletionOutput`."""

    @property
    def text(self) -> str: ...
    @property
    def token_ids(self) -> Sequence[int]: ...
    @property
    def logprobs(self) -> Sequence[Any] | None: ...
    @property
    def finish_reason(self) -> str | None: ...


class Request(Protocol):
    """A text on its way: a `RequestOutput`, which gives itself, changed, at each step."""

    @property
    def outputs(self) -> Sequence[Output]: ...
    def __aiter__(self) -> AsyncIterator[Request]: ...
    def abort(self) -> None: ...


class Model:
    """A loaded model. Made by `load`."""

    def __init__(self, llm: Any, modules: Mapping[str, Any]) -> None:
        self._llm = llm
        self._modules = modules

    def __repr__(self) -> str:
        return f"<Model {self._llm!r}>"

    def tokens(self, prompt: str) -> list[int]:
        """As the LLM would make them of a text, which it does within `generate_async`: for seconds, on its loop.

        Call it on another thread, but on one only: tokenizers are not made for several.
        """
        return list(self._llm.tokenizer.encode(prompt))

    def generate(self, tokens: list[int], wanted: Wanted) -> Request:
        """Begin. To be called on the event loop on which it is read: elsewhere it can't be read at all.

        Raises ValueError for what can't be generated, RuntimeError if the model is ending.
        """
        llmapi = self._modules["llmapi"]
        guide = None if wanted.guide is None else llmapi.GuidedDecodingParams(**dict([wanted.guide]))
        params = llmapi.SamplingParams(**wanted.sampling, guided_decoding=guide)  # one each: it is changed
        request: Request = self._llm.generate_async(
            tokens, params, lora_request=self._lora(wanted.adapter), streaming=wanted.stream
        )
        return request

    def stats(self) -> AsyncIterator[dict[str, Any]]:
        """Iterations as they happen, each given once, to one reader; ends after two seconds without any."""
        found: AsyncIterator[dict[str, Any]] = self._llm.get_stats_async(2)
        return found

    def healthy(self) -> bool:
        """What the LLM says of itself, where it does: after a fatal error it never works again."""
        check = getattr(self._llm, "_check_health", None)
        return check is None or bool(check())

    def shutdown(self) -> None:
        self._llm.shutdown()

    def _lora(self, adapter: Adapter | None) -> Any:
        if adapter is None:
            return None
        return self._modules["executor"].LoRARequest(adapter.name, adapter.id, adapter.path)


def load(settings: dict[str, Any]) -> Model:
    """Takes minutes. Raises ImportError that says what to install, and whatever the package raises."""
    given = msgspec.convert(settings, Settings)
    try:
        llmapi = import_module("tensorrt_llm.llmapi")
        executor = import_module("tensorrt_llm.executor")
    except (ImportError, OSError) as error:  # libraries of the system that it needs
        raise ImportError(MISSING.format(error)) from error
    arguments = given.arguments
    if given.kv_cache:
        arguments["kv_cache_config"] = llmapi.KvCacheConfig(**given.kv_cache)
    return Model(llmapi.LLM(**arguments), {"llmapi": llmapi, "executor": executor})

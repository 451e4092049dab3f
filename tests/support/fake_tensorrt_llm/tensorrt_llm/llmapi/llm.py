"""The LLM: its arguments, its one thread that steps through all requests, its statistics."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .result import RequestOutput
from .sampling import SamplingParams
from .script import parts, pieces
from .steps import Running, Steps
from .tokens import Tokenizer

ARGUMENTS = {
    "backend", "tensor_parallel_size", "dtype", "kv_cache_config", "max_batch_size", "max_num_tokens", "max_seq_len",
    "enable_chunked_prefill", "enable_iter_perf_stats", "guided_decoding_backend", "trust_remote_code", "lora_config",
}  # fmt: skip


WORKER = "import time; time.sleep(60)"


class KvCacheConfig:
    """Only what is set here."""

    def __init__(self, *, free_gpu_memory_fraction: float = 0.9) -> None:
        self.free_gpu_memory_fraction = free_gpu_memory_fraction


class Statistics:
    """An asynchronous iterable of iterations, each of which it takes away; ends after `timeout` seconds of silence."""

    def __init__(self, iterations: deque[dict[str, Any]], timeout: float) -> None:
        self._iterations = iterations
        self._timeout = timeout

    def __aiter__(self) -> Statistics:
        return self

    async def __anext__(self) -> dict[str, Any]:
        for _ in range(int(self._timeout / 0.01)):
            if self._iterations:
                return self._iterations.popleft()
            await asyncio.sleep(0.01)
        raise StopAsyncIteration


class LLM:
    """`model` is a folder, in which `journal` is written, and `fake.json` may tell how it behaves."""

    def __init__(self, model: str, tokenizer: str | None = None, **kwargs: Any) -> None:
        if unknown := kwargs.keys() - ARGUMENTS:
            raise ValueError(f"LLM got invalid argument: {', '.join(sorted(unknown))}")
        folder = Path(model)
        if not folder.is_dir():
            raise ValueError(f"Failed to load model {model}: it does not exist.")
        settings = folder / "fake.json"
        told = json.loads(settings.read_text()) if settings.exists() else {}
        if said := told.get("fails"):
            raise RuntimeError(said)
        self.args = kwargs
        self._leave = told.get("leave", 0.0)
        self.tokenizer = Tokenizer()
        self._journal = (folder / "journal").open("a", buffering=1)
        self._ids = itertools.count(1)
        self._over = False
        self._iterations: deque[dict[str, Any]] = deque(maxlen=1000)
        self._steps = Steps(told.get("delay", 0.002), kwargs.get("max_batch_size", 256), self._iterations, self._note)
        threading.Thread(target=self._steps.run, daemon=True).start()
        self._worker: subprocess.Popen[bytes] | None = None
        if told.get("worker"):  # as MPI's: in a session of its own, with what it inherits
            self._worker = subprocess.Popen([sys.executable, "-c", WORKER], start_new_session=True)
            self._note("worker", pid=self._worker.pid)
        plain = {name: value for name, value in kwargs.items() if not isinstance(value, KvCacheConfig)}
        self._note("load", **plain)

    def __repr__(self) -> str:
        return f"<LLM {'over' if self._over else 'running'}>"

    def generate_async(
        self,
        inputs: str | list[int],
        sampling_params: SamplingParams | None = None,
        lora_request: Any = None,
        streaming: bool = False,
    ) -> RequestOutput:
        if self._over:
            raise RuntimeError("LLM is shutting down")
        params = sampling_params or SamplingParams()
        params.setup(lambda text: [self.tokenizer.id_of(piece) for piece in parts(text)])
        tokens = self.tokenizer.encode(inputs) if isinstance(inputs, str) else inputs
        self._check(len(tokens), params)
        number = next(self._ids)
        result = RequestOutput(number, tokens, params, self.tokenizer.decode, lambda: self._steps.abort(number))
        prompt = self.tokenizer.decode(tokens)
        self._note(
            "begin", id=number, streaming=streaming, lora=getattr(lora_request, "lora_name", None), **_set(params)
        )
        running = Running(number, prompt, params, result, self._tokens(prompt, params), streaming=streaming)
        self._steps.add(running)
        return result

    def get_stats_async(self, timeout: float = 2) -> Statistics:
        return Statistics(self._iterations if self.args.get("enable_iter_perf_stats") else deque(), timeout)

    def shutdown(self) -> None:
        self._over = True
        self._steps.end()
        if self._worker is not None:
            self._worker.kill()
        time.sleep(self._leave)
        self._note("shutdown")

    def _check_health(self) -> bool:
        return not self._over and not self._steps.broken

    def _check(self, length: int, params: SamplingParams) -> None:
        step = self.args.get("max_num_tokens")
        if step is not None and length > step and not self.args.get("enable_chunked_prefill"):
            raise ValueError(
                f"The sum of prompt length ({length}), query length (0) should not exceed max_num_tokens ({step})"
            )
        longest = self.args.get("max_seq_len")
        if longest is not None and length + params.max_tokens > longest:
            raise ValueError(
                f"The sum of prompt length ({length}) and query length (0) max_tokens ({params.max_tokens})"
                f" should not exceed max_seq_len ({longest})"
            )
        if params.guided_decoding is not None and self.args.get("guided_decoding_backend") is None:
            raise ValueError("Guided decoding is not enabled.")

    def _tokens(self, prompt: str, params: SamplingParams) -> Iterator[int]:
        return map(self.tokenizer.id_of, pieces(prompt, params))

    def _note(self, what: str, **more: Any) -> None:
        self._journal.write(f"{json.dumps({'what': what, **more})}\n")


def _set(params: SamplingParams) -> dict[str, Any]:
    """What is not as it would be without being set, in JSON."""
    names = ("max_tokens", "bad", "stop", "best_of", "top_k", "top_p", "seed", "temperature", "min_tokens", "logprobs")
    return {name: getattr(params, name) for name in names if getattr(params, name) is not None}

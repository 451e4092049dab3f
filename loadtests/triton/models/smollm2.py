"""The contract of `llmapi` over a real model: SmolLM2 on llama.cpp, inside Triton's process tree."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from typing import Any

from loadtests.triton.models import llmapi
from loadtests.triton.models.decoupled import Answer, Refused
from loadtests.triton.models.llmapi import DEFAULT_MAX_TOKENS, outputs
from loadtests.triton.models.pace import Steps

WEIGHTS = "TRITON_WEIGHTS"
"""The environment variable that names the GGUF file."""
_SLOTS, _CONTEXT = 4, 8192
_BETWEEN = 0.005
"""Seconds between two looks for a token: a fraction of what one takes."""
_SAMPLING = ("temperature", "top_k", "top_p", "seed", "frequency_penalty", "presence_penalty")


class TritonPythonModel(llmapi.TritonPythonModel):
    """A thread of llama.cpp's feeds each answer; beyond the slots they wait their turn."""

    def prepare(self) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = os.environ[WEIGHTS]
        params.n_parallel = _SLOTS
        params.n_ctx = _CONTEXT
        params.n_batch = params.n_ubatch = 64  # a long prompt stalls its neighbours for one such batch only
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_ram_mib = 0
        params.port = 0
        params.verbosity = 0
        params.ui = False
        if not Path(params.model.path).is_file():
            raise FileNotFoundError(f"{WEIGHTS} names no file: {params.model.path}")
        self._server = xllamacpp.Server(params)

    def generate(self, answer: Answer) -> Steps:
        generation = _Generation(self._server, _question(answer))
        try:
            while not generation.ended:
                yield _BETWEEN
                if generation.advance() and answer.asked.one("streaming") and not generation.ended:
                    answer.tokens = generation.tokens
                    answer.send(outputs(answer, generation.text.encode()))
        finally:
            answer.tokens = generation.tokens
            generation.unwanted = True
        if generation.error:
            raise Refused(generation.error)
        answer.send(outputs(answer, generation.text.encode(), generation.finish, None))
        answer.end()


def _question(answer: Answer) -> dict[str, Any]:
    asked = answer.asked
    sampling = {name: asked.one(f"sampling_param_{name}") for name in _SAMPLING}
    stops = [stop.decode(errors="replace") for stop in asked.many("sampling_param_stop")]
    return {
        "prompt": asked.one("text_input").decode(errors="replace"),
        "max_tokens": asked.one("sampling_param_max_tokens", DEFAULT_MAX_TOKENS),
        "stream": True,
        **({"stop": stops} if stops else {}),
        **{name: value for name, value in sampling.items() if value is not None},
    }


class _Generation:
    """One completion: a thread of its own waits in llama.cpp, and says what comes through a queue."""

    def __init__(self, server: Any, question: dict[str, Any]) -> None:
        self.text, self.finish, self.error = "", "stop", ""
        self.tokens = 0
        self.ended = False
        self.unwanted = False
        self._said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(server, question), daemon=True).start()

    def __repr__(self) -> str:
        return f"<_Generation {self.tokens} tokens{', ended' if self.ended else ''}>"

    def advance(self) -> bool:
        """Take in what has come; whether that was anything."""
        moved = False
        while not self._said.empty():
            moved = True
            self._take(self._said.get())
        return moved

    def _take(self, event: Any) -> None:
        if event is None:
            self.ended = True
        elif "error" in event:
            self.error = str(event["error"].get("message", event["error"]))
        else:
            for choice in event.get("choices", ()):
                self.tokens += bool(choice["text"])
                self.text += choice["text"]
                self.finish = choice.get("finish_reason") or self.finish

    def _run(self, server: Any, question: dict[str, Any]) -> None:
        try:
            server.handle_completions(question, self._hear)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client needs an end
            self._said.put({"error": {"message": str(error)}})
        self._said.put(None)

    def _hear(self, event: Any) -> bool:
        """True ends the generation."""
        for one in event if isinstance(event, list) else [event]:
            self._said.put(one)
        return self.unwanted

"""The contract of TensorRT-LLM's LLM API in Triton, over a scripted text: cumulative text, polled cancelling."""

from __future__ import annotations

from typing import Any

from loadtests.triton.models.decoupled import Answer, Decoupled, Refused, breaks, lied, spoilt
from loadtests.triton.models.pace import FOREVER, Cancelled, Steps
from loadtests.triton.models.script import script_in, until_stop

DEFAULT_MAX_TOKENS = 32
_RANGES = {
    "sampling_param_max_tokens": (1, 2**31),
    "sampling_param_temperature": (0, 2**31),
    "sampling_param_top_p": (0, 1),
    "sampling_param_top_k": (0, 2**31),
}
_LORA = ("lora_id", "lora_name", "lora_path")


class TritonPythonModel(Decoupled):
    """Answers with the fleet's text; see `script` for what a prompt can ask of it."""

    def answer(self, answer: Answer) -> Steps:
        asked = answer.asked
        if asked.one("stop"):
            self.stop(asked.id)
            raise Cancelled
        self.check(answer)
        try:
            yield from self.generate(answer)
        except Refused as error:
            raise Refused(f"Error generating request: {error}") from error

    def cancelled(self, answer: Answer) -> None:
        answer.drop("Request cancelled by client")

    def check(self, answer: Answer) -> None:
        """What the real one refuses. Raises `Refused`."""
        asked = answer.asked
        if asked.tensors["text_input"].ndim != 1:
            raise Refused("Error generating request: text_input must have one dimension")
        if asked.one("streaming") and not self.decoupled:
            raise Refused("Streaming is only supported in decoupled mode.")
        for name, (low, high) in _RANGES.items():
            if (value := asked.one(name)) is not None and not low <= value <= high:
                raise Refused(f"Error generating request: {name.removeprefix('sampling_param_')}={value} is not valid")
        if 0 < sum(name in asked.tensors for name in _LORA) < len(_LORA):
            raise Refused("Error generating request: lora_id, lora_name and lora_path go together")

    def generate(self, answer: Answer) -> Steps:
        """The answer of a request that is in order. Raises `Refused`."""
        asked = answer.asked
        script = script_in(asked.one("text_input"))
        cap = asked.one("sampling_param_max_tokens", DEFAULT_MAX_TOKENS)
        stops = asked.many("sampling_param_stop")
        pieces = script.pieces(cap, [])
        text, finish, reason = b"", "length" if len(pieces) == cap else "stop", None
        for at, piece in enumerate(pieces):
            yield script.pause(at)
            yield from breaks(script, at)
            answer.tokens += 1
            text += piece
            if hit := until_stop(text, stops):
                text, finish, reason = text[: hit[0]], "stop", hit[1].decode()
                break
            last = (
                finish == "length" and at == len(pieces) - 1
            )  # its response says so; other ends have one of their own
            if asked.one("streaming") and not last:
                answer.send(spoilt(script, at, "text_output", outputs(answer, text)))
                yield from lied(script, at)
        yield from breaks(script, len(pieces))
        whole = outputs(answer, text, finish, reason)
        at = len(pieces) - 1 if asked.one("streaming") else script.after
        answer.send(spoilt(script, at, "text_output", whole), final=not self.decoupled)
        if self.decoupled:
            yield from lied(script, at)
            if script.fault == "no_final":
                yield FOREVER
            answer.end()


def outputs(answer: Answer, text: bytes, finish: str | None = None, reason: str | None = None) -> dict[str, Any]:
    """The whole text so far, after the prompt unless that is not wanted; and of the rest, what was asked for.

    All of it are strings, whatever the configuration says: `None` as "None".
    """
    import numpy as np

    asked = answer.asked
    echo = b"" if asked.one("sampling_param_exclude_input_from_output") else asked.one("text_input")
    said: dict[str, object] = {}
    if asked.one("return_finish_reason"):
        said["finish_reason"] = finish
    if asked.one("return_stop_reason"):
        said["stop_reason"] = reason
    if asked.one("return_cumulative_logprob"):
        said["cumulative_logprob"] = -0.5 * answer.tokens
    if asked.one("sampling_param_return_perf_metrics"):
        said |= {"kv_cache_hit_rate": 0.0, "acceptance_rate": None, "kv_cache_reused_block": 0}
    strings = {name: np.array([str(value).encode()], np.object_) for name, value in said.items()}
    return {"text_output": np.array([echo + text], np.object_), **strings}

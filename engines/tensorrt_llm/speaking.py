"""One text of the LLM as what is new of it, step by step."""

from __future__ import annotations

from typing import Any

from engines.tensorrt_llm.package import Output
from engines.tensorrt_llm.wire import Said
from engines.text.deltas import Cumulative


class Speaking:
    """The LLM repeats the whole text with each token, and its last characters may still change."""

    def __init__(self, prompt: int, *, told: bool = True) -> None:
        """`prompt` are its tokens. Unless `told`, nothing is said before the end."""
        self._prompt = prompt
        self._told = told
        self._text = Cumulative()
        self._logprobs = 0
        self._completion = -1

    def __repr__(self) -> str:
        return f"<Speaking {self._completion} tokens, {self._text!r}>"

    def hear(self, output: Output) -> Said | None:
        """None where there is nothing new. Raises ValueError if the text says something else than before."""
        finish = output.finish_reason
        completion = len(output.token_ids)
        if finish is None and (not self._told or completion == self._completion):
            return None
        text = self._text.feed(output.text.encode(errors="replace"))
        if finish is not None:
            text += self._text.flush()
        self._completion = completion
        return Said(text, self._prompt, completion, finish, self._new_logprobs(output))

    def _new_logprobs(self, output: Output) -> list[float] | None:
        if not output.logprobs:
            return None
        begin, self._logprobs = self._logprobs, len(output.token_ids)
        pairs = zip(output.token_ids[begin:], output.logprobs[begin:], strict=False)
        return [_logprob(told, token) for token, told in pairs]


def _logprob(told: Any, token: int) -> float:
    """Of the token itself: told alone, or among the likeliest of its place."""
    if isinstance(told, float):
        return told
    one: Any = told[token]
    return float(getattr(one, "logprob", one))

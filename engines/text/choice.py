"""One choice on its way: generated text in, cut at a stop string, told apart from thoughts and tool calls, written."""

from __future__ import annotations

from typing import Any

from engines.text.answer import Writer
from engines.text.reasoning import Reasoning
from engines.text.stops import Stops
from engines.text.tools.api import CallArguments, CallBegun, Part, ToolParser


class Choice:
    """`say` takes text that can no longer change; once `stopped`, nothing more is to be said but the end."""

    __slots__ = ("_reasoning", "_stops", "_tools", "_writer", "called", "say")

    def __init__(
        self,
        writer: Writer,
        *,
        stops: Stops | None = None,
        reasoning: Reasoning | None = None,
        tools: ToolParser | None = None,
    ) -> None:
        self._writer = writer
        self._stops = stops
        self._reasoning = reasoning
        self._tools = tools
        self.called = False  # whether a tool call has begun
        self.say = self._say if stops or reasoning or tools else writer.text  # plain text pays for nothing

    def __repr__(self) -> str:
        return f"<Choice {'stopped' if self.stopped else 'open'}, {self._writer!r}>"

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._stops is not None and self._stops.hit is not None

    def end(self, reason: str) -> bytes:
        """What was held back, and why it ends."""
        out = self._think(self._stops.flush()) if self._stops is not None else b""
        if self._reasoning is not None:
            out += self._tell(*self._reasoning.flush())
        if self._tools is not None:
            out += self._write(self._tools.finish())
        if self.called and reason == "stop":
            reason = "tool_calls"
        return out + self._writer.finish(reason)

    def _say(self, text: str, logprobs: Any = None) -> bytes:
        if self._stops is not None:
            text = self._stops.feed(text)
        return self._think(text, logprobs)

    def _think(self, text: str, logprobs: Any = None) -> bytes:
        if not text:
            return b""
        if self._reasoning is None:
            return self._talk(text, logprobs)
        return self._tell(*self._reasoning.feed(text), logprobs)

    def _tell(self, thoughts: str, text: str, logprobs: Any = None) -> bytes:
        out = self._writer.reasoning(thoughts) if thoughts else b""
        return out + self._talk(text, logprobs) if text else out

    def _talk(self, text: str, logprobs: Any = None) -> bytes:
        if self._tools is None:
            return self._writer.text(text, logprobs)
        return self._write(self._tools.feed(text))

    def _write(self, parts: list[Part]) -> bytes:
        out = b""
        for part in parts:
            if isinstance(part, CallBegun):
                self.called = True
                out += self._writer.call_begun(part.index, part.id, part.name)
            elif isinstance(part, CallArguments):
                out += self._writer.call_arguments(part.index, part.fragment)
            else:
                out += self._writer.text(part.text)
        return out

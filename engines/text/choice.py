"""One choice on its way: generated text in, cut at a stop string, told apart from thoughts and tool calls, written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engines.text.answer import Writer
from engines.text.reasoning import Reasoning
from engines.text.stops import Stops
from engines.text.tools.api import CallArguments, CallBegun, Part, ToolParser

Say = Callable[[str, Sequence[float] | None], bytes]


class Choice:
    """`say` takes text that can no longer change; once `stopped`, nothing more is to be said but the end.

    `echo` is said before everything else. With `logprobs`, `say` also takes those of the text's tokens; what a piece of
    text shows of them are all since the piece before, as text may be held back.
    """

    __slots__ = ("_called", "_echo", "_logprobs", "_reasoning", "_stops", "_tools", "_writer")

    def __init__(
        self,
        writer: Writer,
        *,
        stops: Stops | None = None,
        reasoning: Reasoning | None = None,
        tools: ToolParser | None = None,
        echo: str = "",
        logprobs: bool = False,
    ) -> None:
        self._writer = writer
        self._stops = stops
        self._reasoning = reasoning
        self._tools = tools
        self._echo = echo
        self._logprobs: list[float] | None = [] if logprobs else None
        self._called = False  # whether a tool call has begun

    def __repr__(self) -> str:
        return f"<Choice {'stopped' if self.stopped else 'open'}, {self._writer!r}>"

    @property
    def say(self) -> Say:
        """Plain text pays for nothing: it goes straight to the writer. To be asked for once."""
        plain = not (self._stops or self._reasoning or self._tools or self._echo or self._logprobs is not None)
        return self._writer.text if plain else self._say

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._stops is not None and self._stops.hit is not None

    def end(self, reason: str, taken_back: str = "") -> bytes:
        """What was held back, and why it ends. `taken_back` is an end of the text that its server does not mean."""
        out = self._think(self._stops.flush().removesuffix(taken_back)) if self._stops is not None else b""
        if self._reasoning is not None:
            out += self._tell(*self._reasoning.flush())
        if self._tools is not None:
            out += self._write(self._tools.finish())
        if self._echo:
            out += self._put("")
        if self._called and reason == "stop":
            reason = "tool_calls"
        return out + self._writer.finish(reason)

    def _say(self, text: str, logprobs: Sequence[float] | None = None) -> bytes:
        if self._logprobs is not None and logprobs is not None:
            self._logprobs += logprobs
        return self._think(text if self._stops is None else self._stops.feed(text))

    def _think(self, text: str) -> bytes:
        if not text:
            return b""
        return self._talk(text) if self._reasoning is None else self._tell(*self._reasoning.feed(text))

    def _tell(self, thoughts: str, text: str) -> bytes:
        out = b""
        if thoughts:
            out = self._writer.reasoning(thoughts)
            if self._logprobs is not None:
                self._logprobs = []  # there is no place for those of thoughts
        return out + self._talk(text) if text else out

    def _talk(self, text: str) -> bytes:
        return self._put(text) if self._tools is None else self._write(self._tools.feed(text))

    def _write(self, parts: list[Part]) -> bytes:
        out = b""
        for part in parts:
            if isinstance(part, CallBegun):
                self._called = True
                out += self._writer.call_begun(part.index, part.id, part.name)
            elif isinstance(part, CallArguments):
                out += self._writer.call_arguments(part.index, part.fragment)
            else:
                out += self._put(part.text)
        return out

    def _put(self, text: str) -> bytes:
        if self._echo:
            text, self._echo = self._echo + text, ""
        if self._logprobs is None:
            return self._writer.text(text)
        logprobs, self._logprobs = self._logprobs, []
        return self._writer.text(text, logprobs)

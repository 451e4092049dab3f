"""One text of the child on its way: messages in, bytes for the client out, and what there is to count."""

from __future__ import annotations

import msgspec

from engines.api import Failed, Kind
from engines.tensorrt_llm.wire import Said
from engines.text.choice import Choice

_decode = msgspec.msgpack.Decoder(Said).decode


class ChildText:
    """See `engines.generating.hearing.Generation`. The child counts, exactly, and says why a text ends."""

    __slots__ = ("_choice", "_ended", "_say", "completion", "counted", "done", "kind", "prompt")

    def __init__(self, choice: Choice, kind: Kind) -> None:
        self._choice = choice
        self._say = choice.say
        self._ended = False
        self.kind: Kind = kind
        self.done = False
        self.prompt: int | None = None
        self.completion = 0
        self.counted = False

    def __repr__(self) -> str:
        return f"<ChildText {'done' if self.done else 'open'}, {self.completion} tokens>"

    @property
    def stopped(self) -> bool:
        """Whether it is done while the child still generates."""
        return self.done and not self._ended

    def hear(self, message: bytes) -> bytes:
        """Raises EngineError for a text that was broken off, or what is none."""
        try:
            said = _decode(message)
        except msgspec.DecodeError:
            raise Failed("The model's answer is not what it should be.") from None
        self.prompt, self.completion = said.prompt, said.completion
        out = self._say(said.text, said.logprobs) if said.text or said.logprobs else b""
        if said.finish is None and not self._choice.stopped:
            return out
        self._ended = said.finish is not None
        if said.finish in ("cancelled", "timeout") and not self._choice.stopped:
            raise Failed("The model broke the answer off.")
        self.done = True
        full = said.finish == "length" and not self._choice.stopped
        return out + self._choice.end("length" if full else "stop")

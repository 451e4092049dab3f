"""What OpenAI-compatible servers say, as far as anybody here reads it: answers, chunks of a stream, refusals."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


class Delta(msgspec.Struct):
    """What an event adds to one choice."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw(b"null")
    function_call: msgspec.Raw = msgspec.Raw(b"null")
    audio: msgspec.Raw = msgspec.Raw(b"null")

    def says_something(self) -> bool:
        """Whether that is content, of whatever kind."""
        if self.content or self.refusal or self.reasoning or self.reasoning_content:
            return True
        return any(bytes(raw) not in (b"null", b"[]") for raw in (self.tool_calls, self.function_call, self.audio))


class Choice(msgspec.Struct):
    """One choice of an event, of a chat or a completion."""

    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None

    def says_something(self) -> bool:
        """Whether there is content, or the end of it."""
        return bool(self.text or self.finish_reason or (self.delta is not None and self.delta.says_something()))


Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
"""What can be added up and divided by, whatever a server says."""


class Tokens(msgspec.Struct):
    """Usage as a server reports it."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0


class Chunk(msgspec.Struct):
    """An event of a stream."""

    model: msgspec.Raw = msgspec.Raw(b"")
    choices: list[Choice] = []
    usage: Tokens | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")
    object: msgspec.Raw = msgspec.Raw(b"")

    def is_error(self) -> bool:
        """Whether the server reports that it has broken down."""
        return bytes(self.error) != b"null" or bytes(self.object) == b'"error"'


class Finish(msgspec.Struct):
    """Which choice of an event has ended, and why."""

    index: int = 0
    finish_reason: str | None = None


class Ends(msgspec.Struct):
    """An event of a stream, as far as it ends something."""

    choices: list[Finish] = []
    usage: msgspec.Raw = msgspec.Raw(b"null")


class Answer(msgspec.Struct):
    """A whole document."""

    model: msgspec.Raw = msgspec.Raw(b"")
    usage: Tokens | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")
    choices: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None

    def is_one(self) -> bool:
        """Whether this is an answer: it holds choices, or data if it is made of embeddings, and no error."""
        return bool(self.choices or self.data) and bytes(self.error) == b"null"


class Problem(msgspec.Struct):
    """What is wrong, in the words of who found it."""

    message: str | None = None
    param: str | None = None
    code: Any = None


class Refusal(msgspec.Struct):
    """The body of an answer that is none."""

    error: Problem | str | None = None
    message: str | None = None  # vLLM before 0.10 and others answer flat

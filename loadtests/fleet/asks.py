"""What a request asks for, read from its OpenAI JSON; and how its prompt is counted: in words between white space."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import msgspec

Kind = Literal["chat", "completion", "embedding"]
KINDS: dict[str, Kind] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completion",
    "/v1/embeddings": "embedding",
}


class Part(msgspec.Struct):
    """A part of a message's content; one that is not text counts no words."""

    text: str = ""


class Message(msgspec.Struct):
    """A message of a chat."""

    content: str | list[Part] | None = None


class Function(msgspec.Struct):
    """A function that a tool call may name."""

    name: str
    description: str | None = None


class Tool(msgspec.Struct):
    """A tool of a chat."""

    function: Function


class StreamOptions(msgspec.Struct):
    """What a stream says besides its tokens."""

    include_usage: bool = False


class Ask(msgspec.Struct):
    """The members of a request that matter here; the others are ignored."""

    model: str
    messages: list[Message] = []
    prompt: str | list[Any] = ""
    input: str | list[Any] = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: Any = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None

    @property
    def cap(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def tool(self) -> str | None:
        """The function that has to be called: that of the first tool, if tool_choice demands a call."""
        if self.tools and (self.tool_choice == "required" or isinstance(self.tool_choice, dict)):
            return self.tools[0].function.name
        return None


_decode = msgspec.json.Decoder(Ask).decode


def read(body: bytes) -> Ask:
    """Raises `msgspec.DecodeError` (or its kind `ValidationError`) if the body is no OpenAI request."""
    ask = _decode(body)
    if (ask.cap is not None and ask.cap < 1) or (ask.n is not None and ask.n < 1):
        raise msgspec.ValidationError("max_tokens and n must be at least 1")
    return ask


def prompts(ask: Ask, kind: Kind) -> list[Any]:
    """The single prompts of a completion, or inputs of an embedding: strings or lists of token numbers."""
    value = ask.prompt if kind == "completion" else ask.input
    if isinstance(value, list) and value and not isinstance(value[0], int):
        return value
    return [value]


def prompt_tokens(ask: Ask, kind: Kind) -> int:
    """Words of the text of all messages and of what tools are for, of the prompts or of the inputs.

    A prompt of token numbers has their count.
    """
    if kind == "chat":
        return sum(map(_message_words, ask.messages)) + sum(map(_tool_words, ask.tools or ()))
    return sum(_words(one) if isinstance(one, str) else _length(one) for one in prompts(ask, kind))


def _length(one: Any) -> int:
    return len(one) if isinstance(one, list) else 0


def _message_words(message: Message) -> int:
    content = message.content
    if content is None:
        return 0
    if isinstance(content, str):
        return _words(content)
    return sum(_words(part.text) for part in content)


def _tool_words(tool: Tool) -> int:
    return _words(tool.function.description or "")


@lru_cache(1024)
def _words(text: str) -> int:
    """Cached because a load generator says the same again and again, and splitting is the dearest part of an answer."""
    return len(text.split())

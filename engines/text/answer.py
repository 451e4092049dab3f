"""Writes OpenAI's JSON for generated text: the chunks of a stream, and whole documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from engines.api import Call, Usage

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Takes what one choice says, in order; gives bytes for the client, or b"" if it keeps them for a document."""

    def text(self, text: str, logprobs: Sequence[float] | None = None) -> bytes:
        """`logprobs` are those of the text's tokens, which are not known one by one: the first is told with all text.

        They are given with every piece of a text, or with none.
        """
        ...

    def reasoning(self, text: str) -> bytes: ...
    def call_begun(self, index: int, call_id: str, name: str) -> bytes: ...
    def call_arguments(self, index: int, fragment: str) -> bytes: ...
    def finish(self, reason: str) -> bytes: ...


class Envelope:
    """What every chunk and document of one answer has around its choices. `created` is in Unix seconds."""

    def __init__(self, call: Call, created: int) -> None:
        self.chat = call.kind == "chat"
        kind = ("chat.completion.chunk" if call.stream else "chat.completion") if self.chat else "text_completion"
        members = {
            "id": f"{'chatcmpl' if self.chat else 'cmpl'}-{call.id}",
            "object": kind,
            "created": created,
            "model": call.model,
        }
        self.head = _encode(members)[:-1] + b',"choices":['

    def usage(self, usage: Usage) -> bytes:
        """The event that ends a stream whose client asked for usage."""
        return b"data: %b],%b}\n\n" % (self.head, _counts(usage))

    def document(self, choices: Sequence[Document], usage: Usage) -> bytes:
        """The whole answer."""
        said = b",".join(choice.encode(chat=self.chat) for choice in choices)
        return b"%b%b],%b}" % (self.head, said, _counts(usage))


class Chunks:
    """Writes one choice as server-sent events. Per chunk of text only the text is encoded."""

    __slots__ = ("_chat", "_head", "_mark", "_offset", "_role", "_tail", "_text_head")

    def __init__(self, envelope: Envelope, index: int) -> None:
        self._chat = envelope.chat
        self._head = b'data: %b{"index":%d,%b' % (envelope.head, index, b'"delta":{' if self._chat else b"")
        self._mark = b"}" if self._chat else b""
        self._offset = 0
        self._role = b'"role":"assistant",' if self._chat else b""  # in the first chunk only
        self._text_head = self._head + (b'"content":' if self._chat else b'"text":')
        self._tail = self._mark + b',"logprobs":null,"finish_reason":null}]}\n\n'

    def __repr__(self) -> str:
        return f"<Chunks {'to begin' if self._role else 'open'}>"

    def text(self, text: str, logprobs: Sequence[float] | None = None) -> bytes:
        if logprobs is None and not self._role:
            return self._text_head + _encode(text) + self._tail
        tail = self._tail
        if logprobs is not None:
            told = _encode(_told(text, logprobs, self._offset, chat=self._chat))
            tail = b'%b,"logprobs":%b,"finish_reason":null}]}\n\n' % (self._mark, told)
            self._offset += len(text)
        return self._delta((b'"content":' if self._chat else b'"text":') + _encode(text), tail)

    def reasoning(self, text: str) -> bytes:
        return self._delta(b'"reasoning_content":' + _encode(text), self._tail)

    def call_begun(self, index: int, call_id: str, name: str) -> bytes:
        function = {"name": name, "arguments": ""}
        call = {"index": index, "id": call_id, "type": "function", "function": function}
        return self._delta(b'"tool_calls":' + _encode([call]), self._tail)

    def call_arguments(self, index: int, fragment: str) -> bytes:
        call = {"index": index, "function": {"arguments": fragment}}
        return self._delta(b'"tool_calls":' + _encode([call]), self._tail)

    def finish(self, reason: str) -> bytes:
        role, self._role = self._role[:-1], b""
        end = b'%b,"logprobs":null,"finish_reason":%b}]}\n\n' % (self._mark, _encode(reason))
        return self._head + (role if self._chat else b'"text":""') + end

    def _delta(self, members: bytes, tail: bytes) -> bytes:
        role, self._role = self._role, b""
        return b"%b%b%b%b" % (self._head, role, members, tail)


@dataclass(slots=True)
class _ToolCall:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def encode(self) -> dict[str, object]:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}


class Document:
    """Keeps one choice until it is whole."""

    __slots__ = ("_calls", "_finish", "_index", "_logprobs", "_reasoning", "_text")

    def __init__(self, index: int) -> None:
        self._index = index
        self._text: list[str] = []
        self._logprobs: list[Sequence[float] | None] = []  # of each text
        self._reasoning: list[str] = []
        self._calls: dict[int, _ToolCall] = {}
        self._finish: str | None = None

    def __repr__(self) -> str:
        return f"<Document {len(self._text)} texts, {len(self._calls)} calls, {self._finish or 'open'}>"

    def text(self, text: str, logprobs: Sequence[float] | None = None) -> bytes:
        self._text.append(text)
        self._logprobs.append(logprobs)
        return b""

    def reasoning(self, text: str) -> bytes:
        self._reasoning.append(text)
        return b""

    def call_begun(self, index: int, call_id: str, name: str) -> bytes:
        self._calls[index] = _ToolCall(call_id, name)
        return b""

    def call_arguments(self, index: int, fragment: str) -> bytes:
        self._calls[index].arguments.append(fragment)
        return b""

    def finish(self, reason: str) -> bytes:
        self._finish = reason
        return b""

    def encode(self, *, chat: bool) -> bytes:
        """The choice as JSON."""
        text = "".join(self._text)
        said: dict[str, object] = {"index": self._index}
        if chat:
            message: dict[str, object] = {"role": "assistant", "content": text}
            if self._reasoning:
                message["reasoning_content"] = "".join(self._reasoning)
            if self._calls:
                message["content"] = text or None
                message["tool_calls"] = [call.encode() for call in self._calls.values()]
            said["message"] = message
        else:
            said["text"] = text
        return _encode({**said, "logprobs": self._told(chat=chat), "finish_reason": self._finish})

    def _told(self, *, chat: bool) -> dict[str, list[object]] | None:
        told: dict[str, list[object]] = {}
        offset = 0
        for text, logprobs in zip(self._text, self._logprobs, strict=True):
            if logprobs is not None:
                for name, values in _told(text, logprobs, offset, chat=chat).items():
                    told.setdefault(name, []).extend(values)
            offset += len(text)
        return told or None


def _told(text: str, logprobs: Sequence[float], offset: int, *, chat: bool) -> dict[str, list[object]]:
    """The log probabilities of one piece of text, `offset` characters from the beginning."""
    tokens = [text, *[""] * (len(logprobs) - 1)] if logprobs else []
    if chat:
        pairs = zip(tokens, logprobs, strict=True)
        return {
            "content": [
                {"token": token, "logprob": one, "bytes": list(token.encode()), "top_logprobs": []}
                for token, one in pairs
            ]
        }
    offsets = [offset, *[offset + len(text)] * (len(tokens) - 1)] if tokens else []
    return {
        "tokens": [*tokens],
        "token_logprobs": [*logprobs],
        "top_logprobs": [{} for _ in tokens],
        "text_offset": [*offsets],
    }


def _counts(usage: Usage) -> bytes:
    total = usage.prompt + usage.completion
    return b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (
        usage.prompt, usage.completion, total,
    )  # fmt: skip

"""Answers of an OpenAI-compatible HTTP server as replies: a stream on its way, or one whole document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from engines.api import Call, EngineError, Failed, Interrupted, Sink, TimedOut, Usage
from engines.connection import Connection
from engines.events import MAX_EVENT, EventFilter, rename
from engines.spoken import Answer

_decode = msgspec.json.Decoder(Answer).decode
_ONE = msgspec.Raw(b"1")


class UnaryReply(msgspec.Struct, gc=False):
    """A whole JSON answer with the model's public name put back."""

    headers: Mapping[bytes, bytes]
    document: bytes
    usage: Usage | None
    _told: bool = False

    def __repr__(self) -> str:
        return f"<UnaryReply {len(self.document)} B>"

    @classmethod
    def of(cls, call: Call, headers: Mapping[bytes, bytes], document: bytes) -> Self:
        """What a server answered, read to its end, so that a broken answer can still be asked for elsewhere."""
        try:
            answer = _decode(document)
        except (msgspec.DecodeError, RecursionError):
            raise Failed("The model server's answer is not what it should be.") from None
        if not answer.is_one():
            raise Failed("The model server answered with an error.")
        if renaming := rename(document, bytes(answer.model), msgspec.json.encode(call.model)):
            document = document.replace(*renaming, 1)
        tokens = answer.usage
        return cls(headers, document, Usage(tokens.prompt_tokens, tokens.completion_tokens) if tokens else None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._told:
            raise StopAsyncIteration
        self._told = True
        return self.document

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is held any more."""


class StreamReply:
    """A stream of events whose first content is here; holds the connection until it is left."""

    def __init__(self, call: Call, connection: Connection, events: EventFilter, first: bytes) -> None:
        self.headers: Mapping[bytes, bytes] = connection.headers
        self._single = call.kind == "chat" and bytes(call.fields.get("n", _ONE)) in (b"1", b"null")
        self._connection = connection
        self._events = events
        self._first = first

    def __repr__(self) -> str:
        return f"<StreamReply {self._events!r} on {self._connection!r}>"

    @property
    def usage(self) -> Usage | None:
        """As reported; before that, the chunks that have come so far stand for the completion's tokens."""
        if self._events.usage is not None:
            return self._events.usage
        return Usage(0, self._events.chunks, exact=False)

    @classmethod
    async def open(cls, call: Call, connection: Connection) -> Self:
        """Read up to the first content: until then another server may still be asked."""
        events = EventFilter(call.model, show_usage=call.show_usage)
        held = b""
        while True:
            data = b"" if events.done else await connection.read()
            if not data:
                raise Failed("The model server ended its stream before any content.")
            held += events.feed(data)
            if events.content_started:
                break
            if events.failure or len(held) > MAX_EVENT:
                raise Failed(events.failure or "The model server's stream holds no content.")
        connection.content_began()
        return cls(call, connection, events, held)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not (data := self._ready()):
            if self._events.done:
                raise StopAsyncIteration
            await self._connection.more()
        return data

    async def forward(self, sink: Sink) -> None:
        """Chunks go from the connection to the sink as they come; this wakes for the end, and to wait for `sink`."""
        self._take = sink.take
        while True:
            while data := self._ready():
                if not sink.take(data):
                    await sink.drain()
            if self._events.done:
                return
            await self._connection.flow(self._push)
            await sink.drain()

    def _push(self, data: bytes) -> bool:
        events = self._events
        out = events.feed(data)
        return (not out or self._take(out)) and not events.done and events.failure is None

    def _ready(self) -> bytes:
        """What can be handed on without waiting; b"" where there is nothing, or nothing more. Raises Interrupted."""
        if self._first:
            first, self._first = self._first, b""
            return first
        events, connection = self._events, self._connection
        out = b""
        while not (out or events.done):
            if events.failure:
                raise Interrupted(events.failure)
            try:
                data = connection.take()
            except EngineError as error:
                raise interrupted(error) from None
            if data:
                out = events.feed(data)
            elif connection.state == "body":
                break
            elif not (connection.state == "complete" and self._single and (out := events.close())):
                raise Interrupted("The model server ended its stream early.")
        return out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.release(whole=self._events.done)


def interrupted(error: EngineError) -> Interrupted:
    """The same after content has been said."""
    return Interrupted(error.message, phase=error.phase if isinstance(error, TimedOut) else None, died=error.died)

"""What of two answers to one request is compared, and how an answer is heard on its way to the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from engines.api import Reply, Sink, Usage, pass_on


@dataclass(slots=True, frozen=True)
class Side:
    """An answer as far as it is compared. `first_content`: seconds from the dispatch on; `tokens`: of the answer."""

    first_content: float
    tokens: int
    finish_reason: str


class Ear(Protocol):
    """Hears an answer pass."""

    def hear(self, data: bytes) -> None: ...
    @property
    def finish_reason(self) -> str:
        """Why it ended, as far as it was said; "" if it was not."""
        ...


def side(first_content: float, reply: Reply, ear: Ear) -> Side:
    """Of a reply that has been read to its end."""
    usage = reply.usage
    return Side(first_content, usage.completion if usage else 0, ear.finish_reason)


class HeardReply:
    """A reply with an ear in it; otherwise the same. Only requests that are compared pay for it."""

    def __init__(self, reply: Reply, ear: Ear) -> None:
        self.headers: Mapping[bytes, bytes] = reply.headers
        self._reply = reply
        self._parts = aiter(reply)
        self._ear = ear

    def __repr__(self) -> str:
        return f"<HeardReply {self._reply!r}>"

    @property
    def usage(self) -> Usage | None:
        return self._reply.usage

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await anext(self._parts)
        self._ear.hear(data)
        return data

    async def forward(self, sink: Sink) -> None:
        await pass_on(self._reply, _HeardSink(sink, self._ear))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Who has made it holds the reply."""


class _HeardSink:
    def __init__(self, sink: Sink, ear: Ear) -> None:
        self._take = sink.take
        self._hear = ear.hear
        self.drain = sink.drain

    def take(self, data: bytes) -> bool:
        self._hear(data)
        return self._take(data)

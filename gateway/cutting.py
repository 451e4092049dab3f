"""Answers of callers whose plan ends them where their limits are used up: the cap that does it, and the cut of a stream
whose model server goes on beyond it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from engines.api import Reply, Usage
from engines.events import payload_of
from engines.spoken import Ends
from gateway import sse
from gateway.exchange import Exchange
from gateway.finish import NULL

BESIDE: Final = 2
"""Events of each answer that hold no token: its role, and its end."""
_HEAD: Final = ("id", "object", "created", "model", "system_fingerprint")
"""Members that are the same in all events of a stream."""

_decode = msgspec.json.Decoder(Ends).decode
_encode = msgspec.json.Encoder().encode


async def pass_on_up_to(each: int, reply: Reply, exchange: Exchange) -> None:
    """As `engines.api.pass_on`, but where more has come than `each` answer may have the stream ends, as if by itself.

    The rest is up to whoever holds the reply: leaving it stops the model server.
    """
    record = exchange.record
    ending = Ending(record.answers, chat=exchange.kind == "chat")
    most = each * record.answers
    async for data in reply:
        keeps_up = exchange.take(data)
        ending.hear(data)
        usage = reply.usage
        if usage is not None and _over(usage, most, record.answers) and not data.endswith(sse.DONE):
            record.cut = True
            shown = Usage(usage.prompt or record.prompt, usage.completion) if exchange.shows_usage else None
            exchange.take(ending.events(shown))
            return
        if not keeps_up:
            await exchange.drain()


def _over(usage: Usage, most: int, answers: int) -> bool:
    # Where the model server has not counted yet, events stand for tokens.
    return usage.completion > (most if usage.exact else most + BESIDE * answers)


class Ending:
    """Hears a stream of so many `answers` pass, and knows how to end it at any time."""

    __slots__ = ("_chat", "_counted", "_head", "_open")

    def __init__(self, answers: int, *, chat: bool) -> None:
        self._chat = chat
        self._open = set(range(answers))
        self._head: dict[str, msgspec.Raw] = {}
        self._counted = False

    def __repr__(self) -> str:
        return f"<Ending of {len(self._open)} open answers>"

    def hear(self, data: bytes) -> None:
        """Whole events, in order. Few of them are parsed: the first, and those that end something."""
        if not self._head:
            self._head = _head(data)
        if data.count(b'"finish_reason"') == data.count(NULL) and data.count(b'"usage"') == data.count(b'"usage":null'):
            return
        for each in data.split(b"\n\n"):
            try:
                event = _decode(payload_of(each))
            except (UnicodeDecodeError, RecursionError, msgspec.DecodeError):
                continue  # the end of the stream, or nonsense that the client is to judge
            self._counted = self._counted or (not event.choices and bytes(event.usage) != b"null")
            self._open.difference_update(choice.index for choice in event.choices if choice.finish_reason)

    def events(self, usage: Usage | None) -> bytes:
        """What ends the stream: for each answer that is open that it has become too long, `usage`, and the last event.

        `usage` is left out where it has been said already.
        """
        parts = [self._event([self._finish(index)]) for index in sorted(self._open)]
        if usage is not None and not self._counted:
            parts.append(self._event([], usage))
        return b"".join([*parts, sse.DONE])

    def _finish(self, index: int) -> dict[str, object]:
        said: dict[str, object] = {"delta": {}} if self._chat else {"text": ""}
        return {"index": index, **said, "logprobs": None, "finish_reason": "length"}

    def _event(self, choices: list[dict[str, object]], usage: Usage | None = None) -> bytes:
        members: dict[str, object] = {**self._head, "choices": choices}
        if usage is not None:
            members["usage"] = {
                "prompt_tokens": usage.prompt,
                "completion_tokens": usage.completion,
                "total_tokens": usage.prompt + usage.completion,
            }
        return b"data: %b\n\n" % _encode(members)


def _head(data: bytes) -> dict[str, msgspec.Raw]:
    """Of the first event, which the engine has understood."""
    members = msgspec.json.decode(payload_of(data.partition(b"\n\n")[0]), type=dict[str, msgspec.Raw])
    return {name: members[name] for name in _HEAD if name in members}

"""The bytes of OpenAI answers: deterministic text, exact shapes, usage that is ground truth."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from loadtests.fleet.asks import Ask, Kind, prompt_tokens, prompts
from loadtests.fleet.settings import Settings

CREATED = 1_750_000_000
DIMENSIONS = 16
TEXT = (
    "The quick brown fox jumps over the lazy dog and then it goes back home to rest for the remainder of the "
    "afternoon because that is what a fox does when the work of the day is done"
)
_WORDS = TEXT.split()
_CALL_PIECES = ('{"', "city", '":"', "Paris", '"}')
"""A tool call's arguments, token by token."""

_encode = msgspec.json.encode


@lru_cache(64)
def words(seed: int, count: int) -> tuple[str, ...]:
    """The answer's text, token by token: the text's words from number `seed` on, round and round."""
    size = len(_WORDS)
    return tuple((" " if at else "") + _WORDS[(seed + at) % size] for at in range(count))


@dataclass(slots=True)
class Plan:
    """What will be answered. `choices` counts all of them; every choice has the same `pieces`, one per token."""

    kind: Kind
    id: str
    model: str
    choices: int
    pieces: tuple[str, ...]
    finish: str
    prompt_tokens: int
    tool: str | None = None

    @property
    def usage(self) -> dict[str, int]:
        completion = len(self.pieces) * self.choices
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }


def plan(ask: Ask, kind: Kind, settings: Settings, number: int) -> Plan:
    """The answer to `ask` as the replica's `number`-th call."""
    model = settings.upstream_model or ask.model
    counted = prompt_tokens(ask, kind)
    if kind == "embedding":
        return Plan(kind, "", model, 0, (), "", counted)
    pieces, finish = (_CALL_PIECES, "tool_calls") if ask.tool else (words(settings.seed, settings.tokens), "stop")
    if settings.heeds_cap and ask.cap is not None and ask.cap < len(pieces):
        pieces, finish = pieces[: ask.cap], "length"
    if ask.stops and not ask.tool:
        pieces, finish = _stopped(pieces, finish, ask.stops)
    choices = (ask.n or 1) * (len(prompts(ask, kind)) if kind == "completion" else 1)
    prefix = "chatcmpl" if kind == "chat" else "cmpl"
    return Plan(kind, f"{prefix}-{number:032x}", model, choices, pieces, finish, counted, ask.tool)


def _stopped(pieces: tuple[str, ...], finish: str, stops: list[str]) -> tuple[tuple[str, ...], str]:
    """The pieces before the first stop string: those that end before it, and the beginning of the one it is in."""
    text = "".join(pieces)
    found = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    if not found:
        return pieces, finish
    left, kept = min(found), []
    for piece in pieces:
        if left <= 0:
            break
        kept.append(piece[:left])
        left -= len(piece)
    return tuple(kept), "stop"


def unary(plan: Plan, *, usage: bool = True) -> bytes:
    """A chat or text completion as one JSON document."""
    text = "".join(plan.pieces)
    answer: dict[str, Any] = {
        "id": plan.id,
        "object": "chat.completion" if plan.kind == "chat" else "text_completion",
        "created": CREATED,
        "model": plan.model,
        "choices": [_choice(plan, index, text) for index in range(plan.choices)],
    }
    if usage:
        answer["usage"] = plan.usage
    return _encode(answer)


def _choice(plan: Plan, index: int, text: str) -> dict[str, Any]:
    if plan.kind == "completion":
        return {"index": index, "text": text, "logprobs": None, "finish_reason": plan.finish}
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if plan.tool:
        function = {"name": plan.tool, "arguments": text}
        message |= {"content": None, "tool_calls": [{"id": f"call_{index}", "type": "function", "function": function}]}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": plan.finish}


class Events:
    """The server-sent events of one stream."""

    __slots__ = ("_head", "_role_apart", "plan")

    def __init__(self, plan: Plan, *, role_apart: bool = False) -> None:
        self.plan = plan
        self._role_apart = role_apart and plan.kind == "chat" and not plan.tool
        kind = "chat.completion.chunk" if plan.kind == "chat" else "text_completion"
        head = {"id": plan.id, "object": kind, "created": CREATED, "model": plan.model}
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['

    def role(self) -> bytes:
        """The events that give each choice its role, if they come apart from the first token."""
        if not self._role_apart:
            return b""
        return self._each(b'"delta":{"role":"assistant","content":""}')

    def tokens(self) -> Iterator[bytes]:
        """For each token, its event; one for each choice, joined."""
        for step, piece in enumerate(self.plan.pieces):
            yield self._each(self._delta(step, piece))

    def finish(self) -> bytes:
        """The events that give each choice its finish_reason."""
        empty = b'"delta":{}' if self.plan.kind == "chat" else b'"text":""'
        return self._each(empty, b'"%b"' % self.plan.finish.encode())

    def usage(self) -> bytes:
        return self._head + b'],"usage":' + _encode(self.plan.usage) + b"}\n\n"

    def _each(self, delta: bytes, finish: bytes = b"null") -> bytes:
        """One event for each choice, joined."""
        head = self._head
        return b"".join(
            [
                b'%b{"index":%d,%b,"logprobs":null,"finish_reason":%b}]}\n\n' % (head, index, delta, finish)
                for index in range(self.plan.choices)
            ]
        )

    def _delta(self, step: int, piece: str) -> bytes:
        quoted = _encode(piece)
        if self.plan.kind == "completion":
            return b'"text":' + quoted
        if self.plan.tool:
            return b'"delta":' + _encode(_tool_delta(self.plan.tool, step, piece))
        if step or self._role_apart:
            return b'"delta":{"content":' + quoted + b"}"
        return b'"delta":{"role":"assistant","content":' + quoted + b"}"


def _tool_delta(name: str, step: int, piece: str) -> dict[str, Any]:
    if step:
        return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
    call = {"index": 0, "id": "call_0", "type": "function", "function": {"name": name, "arguments": piece}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


DONE = b"data: [DONE]\n\n"


def error(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    return _encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def models(model: str) -> bytes:
    entry = {"id": model, "object": "model", "created": CREATED, "owned_by": "fleet", "max_model_len": 32768}
    return _encode({"object": "list", "data": [entry]})


def embeddings(ask: Ask, plan: Plan) -> bytes:
    """A unit vector for each input, drawn from its text; both encodings hold the same float32 numbers."""
    data = []
    for index, one in enumerate(prompts(ask, "embedding")):
        packed = _vector(one if isinstance(one, str) else repr(one), ask.dimensions or DIMENSIONS)
        floats = list(struct.unpack(f"<{len(packed) // 4}f", packed))
        value: Any = base64.b64encode(packed).decode() if ask.encoding_format == "base64" else floats
        data.append({"object": "embedding", "index": index, "embedding": value})
    usage = {"prompt_tokens": plan.prompt_tokens, "total_tokens": plan.prompt_tokens}
    return _encode({"object": "list", "data": data, "model": plan.model, "usage": usage})


def _vector(text: str, size: int) -> bytes:
    digest = hashlib.shake_128(text.encode()).digest(4 * size)
    raw = [number / 2**31 - 1 for number in struct.unpack(f"<{size}I", digest)]
    norm = math.sqrt(sum(number * number for number in raw))
    return struct.pack(f"<{size}f", *(number / norm for number in raw))

"""The chat requests that every measurement sends: 2.2 kB of JSON, the same bytes in every run."""

from __future__ import annotations

import random
from typing import Any

import msgspec

SIZE = 2200
"""Bytes of the unary request for a model named `mock`."""

_WORDS = ("snow", "roof", "road", "shed", "slope", "winter", "track", "shelter", "mountain", "traffic", "while", "the")
PATH = "/v1/chat/completions"


def chat(model: str = "mock", *, stream: bool = False, usage: bool = False, remark: str = "") -> bytes:
    """A chat request; as a stream it asks for usage only if told. `remark` is the system message's last line."""
    rng = random.Random(7)
    system = " ".join(rng.choices(_WORDS, k=60)) + (f"\n{remark}" if remark else "")
    user = ""
    while len(user) < SIZE:
        user += rng.choice(_WORDS) + " "
    request: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": ""}],
        "max_tokens": 128,
        "temperature": 0.7,
    }
    request["messages"][1]["content"] = user[: SIZE - len(msgspec.json.encode(request))]
    if stream:
        request["stream"] = True
    if usage:
        request["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(request)


def http(port: int, body: bytes, extra: str = "") -> bytes:
    """The whole request on the wire, head and body; `extra` are further header lines."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n{extra}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

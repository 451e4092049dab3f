"""Asks a gateway as raw HTTP or through the official SDK, and says what the answer was, however it ended."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from loadtests.fleet.answers import words
from loadtests.prove.answers import Answer, answer_of
from tests.support import plain
from tests.support.waiting import PATIENCE

_SERIAL = itertools.count()


def body(directive: str = "", **members: Any) -> dict[str, Any]:
    """A chat request; `directive` is what the simulated upstream shall do with it (see `loadtests.fleet.settings`).

    No two with a directive are the same prompt: one that keeps breaking servers would be refused.
    """
    content = f"Say something. @@{directive}@@ {next(_SERIAL)}" if directive else "Say something."
    return {"model": "mock", "messages": [{"role": "user", "content": content}]} | members


def text(tokens: int) -> str:
    """What the simulated upstream answers with so many tokens."""
    return "".join(words(0, tokens))


def ask(client: httpx2.Client, wanted: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    """One chat request; raises the client's error if the connection is cut."""
    response = client.post("/v1/chat/completions", json=wanted, headers=headers)
    stream = response.headers["content-type"].startswith("text/event-stream")
    return answer_of(response.status_code, response.headers, response.content, stream=stream)


@contextmanager
def sdk(url: str, max_retries: int = 0) -> Iterator[openai.OpenAI]:
    """The official client, without retries of its own unless asked for."""
    with plain.client() as http:
        yield openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=max_retries, http_client=http)


def sdk_text(url: str, wanted: Mapping[str, Any]) -> str:
    """The answer's text by way of the SDK; raises what the SDK raises."""
    with sdk(url) as client:
        answer = client.chat.completions.create(**wanted)
        if not wanted.get("stream"):
            return str(answer.choices[0].message.content)
        return "".join(choice.delta.content or "" for chunk in answer for choice in chunk.choices)


def request_bytes(wanted: Mapping[str, Any], headers: dict[str, str] | None = None) -> bytes:
    """A chat request as it goes over a raw connection."""
    data = json.dumps(wanted).encode()
    fields = {"host": "127.0.0.1", "content-type": "application/json", "content-length": len(data)} | (headers or {})
    lines = ("POST /v1/chat/completions HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()))
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def hesitant(url: str) -> socket.socket:
    """A raw connection that takes in little at a time: whoever does not read holds the other side back soon."""
    where = urlsplit(url)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    made.settimeout(PATIENCE)
    made.connect((where.hostname, where.port))
    return made

"""Asks a gateway as raw HTTP or through the official SDK, and says what the answer was, however it ended."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from loadtests.fleet.answers import words
from tests.support import plain

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


@dataclass(slots=True)
class Answer:
    """What came back. Of a stream: its parsed events, whether `[DONE]` came, and its comments."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    events: list[Any] = field(default_factory=list)
    done: bool = False
    comments: int = 0

    @property
    def document(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> dict[str, Any] | None:
        """The error of the envelope, or of a stream's event."""
        found = [event["error"] for event in self.events or [self.document] if "error" in event]
        assert len(found) <= 1, found
        return found[0] if found else None

    @property
    def text(self) -> str:
        if not self.events:
            said: str = self.document["choices"][0]["message"]["content"]
            return said
        deltas = [choice.get("delta", {}) for event in self.events for choice in event.get("choices", [])]
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def finish_reasons(self) -> list[str]:
        """Every reason to end that the client was told."""
        documents = self.events or [self.document]
        found = [choice.get("finish_reason") for one in documents for choice in one.get("choices", [])]
        return [reason for reason in found if reason]


def ask(client: httpx2.Client, wanted: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    """One chat request; raises the client's error if the connection is cut."""
    response = client.post("/v1/chat/completions", json=wanted, headers=headers)
    stream = response.headers["content-type"].startswith("text/event-stream")
    return answer_of(response.status_code, response.headers, response.content, stream=stream)


def answer_of(status: int, headers: Mapping[str, str], raw: bytes, *, stream: bool) -> Answer:
    """What came back, taken apart if it is a stream."""
    answer = Answer(status, headers, raw)
    for event in raw.decode().split("\n\n") if stream else ():
        line = event.lstrip("\n")
        if line.startswith(":"):
            answer.comments += 1
        elif line == "data: [DONE]":
            answer.done = True
        elif line:
            answer.events.append(json.loads(line.removeprefix("data: ")))
    return answer


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
    made.settimeout(10)
    made.connect((where.hostname, where.port))
    return made

"""A streamed answer, as a command reads it: pieces of text as they come, and what is to be told at the end."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.cli.remote import Remote, told
from gateway.cli.trouble import Trouble


@dataclass
class Answer:
    """What has come of an answer so far. Times are in seconds, on a monotonic clock."""

    model: str
    text: str = ""
    finish: str | None = None
    usage: dict[str, Any] | None = None
    request_id: str | None = None
    began: float = field(default_factory=time.monotonic)
    first: float | None = None
    last: float | None = None

    def __repr__(self) -> str:
        return f"<Answer of {self.model}: {len(self.text)} characters, {self.finish or 'going on'}>"

    def take(self, event: Any) -> str:
        """What an event of the stream adds to the text. Raises Trouble for an error."""
        if not isinstance(event, dict):
            raise Trouble("The gateway sent an event that is no object.")
        if "error" in event:
            raise Trouble(told(event["error"]))
        self.usage = event.get("usage") or self.usage
        choice = (event.get("choices") or [{}])[0]
        self.finish = choice.get("finish_reason") or self.finish
        text = (choice.get("delta") or {}).get("content") or ""
        if text:
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.text += text
        return str(text)

    def document(self) -> dict[str, Any]:
        """For machines: times in seconds from the request on."""
        return {
            "model": self.model,
            "content": self.text,
            "finish_reason": self.finish,
            "usage": self.usage,
            "first_token_s": round(self.first - self.began, 4) if self.first else None,
            "total_s": round(self.last - self.began, 4) if self.last else None,
            "request_id": self.request_id,
        }

    def summary(self) -> str:
        """For people: one line."""
        said = [f"{self.model}: finished by {self.finish}"]
        tokens = (self.usage or {}).get("completion_tokens")
        if self.usage:
            said.append(f"{self.usage.get('prompt_tokens')} tokens asked, {tokens} answered")
        if self.first and self.last:
            said.append(f"first after {self.first - self.began:.2f} s")
            if tokens and self.last > self.first:
                said.append(f"{(tokens - 1) / (self.last - self.first):.1f} tokens/s")
        return "; ".join([*said, f"request {self.request_id}"])


def read(gateway: Remote, messages: Sequence[dict[str, str]], answer: Answer) -> Iterator[str]:
    """Ask, and give the text piece by piece; `answer` is filled meanwhile. Raises Trouble, after an error too."""
    asked = {
        "model": answer.model,
        "messages": list(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with gateway.answer("POST", "/v1/chat/completions", asked) as response:
        answer.request_id = response.headers.get("x-request-id")
        for data in _events(response):
            if data == b"[DONE]":
                return
            try:
                event = json.loads(data)
            except ValueError:
                raise Trouble("The gateway sent an event that is not JSON.") from None
            if text := answer.take(event):
                yield text
    raise Trouble("The answer broke off.")


def _events(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The data of each server-sent event. Ours have one line each; comments and empty lines are passed over."""
    rest = b""
    while received := response.read1(65536):
        *lines, rest = (rest + received).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()

"""What a gateway said to one chat request, however it ended, taken apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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

"""Turns a caller's messages into what a chat template expects: OpenAI's spelling in, the templates' spelling out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

NODE = 16
"""Characters that a value counts for besides its text: many empty messages are work too."""
SLICE = 65_536
"""Characters that are searched at a stretch."""
BETWEEN = "\n"
"""Between the parts of a message whose template takes only texts; the same as in other servers."""


class TurnError(Exception):
    """A message that the model's template has no place for; the text is for the caller."""


@dataclass(slots=True, frozen=True)
class Takes:
    """What a template does with a message's content."""

    texts: bool = True
    parts: bool = False
    images: bool = False
    developer: bool = False
    """Whether it knows this role, which others call system."""
    nothing: bool = False
    """Whether it wants null for the content of a message that only calls tools, as OpenAI has it; others want ""."""
    json_arguments: bool = False
    """Whether it wants a tool call's arguments as JSON, as OpenAI has them; others want the object."""


class Turns:
    """`control` are tokens of which no text of the caller's may spell one; single characters cannot be broken up."""

    def __init__(self, control: Collection[str], takes: Takes) -> None:
        self.takes = takes
        tokens = {token for token in control if len(token) > 1}
        spelt = _spelt(tokens)
        self._longest = max(map(len, tokens), default=0)
        self._finds = re.compile(spelt) if spelt else None
        self._begins = re.compile(f"(?={spelt})")

    def __repr__(self) -> str:
        return f"<Turns for {self.takes}>"

    def prepared(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """New messages, as the template takes them: without nulls, mostly. Raises TurnError."""
        return [self._message(message) for message in messages]

    def harmless(self, value: Any) -> Any:
        """The same with every control token in it broken up by a zero-width space."""
        if self._finds is None:
            return value
        if isinstance(value, str):
            return self._broken_up(value) if any(self._matches(self._finds, value)) else value
        if isinstance(value, dict):
            return {self.harmless(key): self.harmless(inner) for key, inner in value.items()}
        return [self.harmless(inner) for inner in value] if isinstance(value, list) else value

    def _broken_up(self, text: str) -> str:
        """Each place is looked at, as tokens may overlap; it costs more than to find that there is none."""
        cuts = [0, *(match.start() + 1 for match in self._matches(self._begins, text)), len(text)]
        return "\u200b".join(text[start:end] for start, end in pairwise(cuts))

    def _matches(self, pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
        """Those that begin in a slice, and so on: the interpreter is not held for the length of a long text."""
        for start in range(0, len(text), SLICE):
            for match in pattern.finditer(text, start, start + SLICE + self._longest):
                if match.start() < start + SLICE:
                    yield match

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in message.items() if value is not None and value != []}
        content = message.get("content")
        bare = content is None and self.takes.nothing and "tool_calls" in kept
        kept["content"] = None if bare else self._content(content)
        if kept.get("role") == "developer" and not self.takes.developer:
            kept["role"] = "system"
        if "tool_calls" in kept and not self.takes.json_arguments:
            kept["tool_calls"] = [_tool_call(call) for call in kept["tool_calls"]]
        ready: dict[str, Any] = self.harmless(kept)
        if isinstance(ready["content"], list):
            ready["content"] = self._apart(ready["content"])
        return ready

    def _apart(self, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A template may write parts end to end: nor may several together spell a control token."""
        texts = [part for part in parts if "text" in part]
        if self._finds is None or not self._finds.search("".join(part["text"] for part in texts)):
            return parts
        return [part | {"text": f"{part['text']}\u200b"} if "text" in part else part for part in parts]

    def _content(self, content: Any) -> Any:
        if isinstance(content, list):
            parts = [self._part(part) for part in content]
            return parts if self.takes.parts else BETWEEN.join(part["text"] for part in parts)
        text = content or ""
        return text if self.takes.texts else [{"type": "text", "text": text}]

    def _part(self, part: dict[str, Any]) -> dict[str, Any]:
        kind = part.get("type")
        if kind in ("text", "refusal"):
            return {"type": "text", "text": part.get(kind) or ""}
        if kind == "image_url" and self.takes.images:
            return {"type": "image"}
        raise TurnError("This model takes no images." if kind == "image_url" else f"This model takes no {kind} parts.")


def _spelt(tokens: Collection[str]) -> str:
    """A pattern that begins to match where one of them begins. Their common beginnings are tried once, not by each."""
    if not tokens or "" in tokens:
        return ""
    tails: dict[str, set[str]] = {}
    for token in tokens:
        tails.setdefault(token[0], set()).add(token[1:])
    branches = [re.escape(first) + _spelt(rest) for first, rest in sorted(tails.items())]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    """Arguments become an object where they are one; what a model once wrote in error stays the text that it was."""
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = msgspec.json.decode(function["arguments"] or "{}")
    except (ValueError, RecursionError):
        return call
    return call | {"function": function | {"arguments": arguments}} if isinstance(arguments, dict) else call


def size(value: Any, enough: int) -> int:
    """Characters of all texts in `value`, and some for each value; counting stops above `enough`."""
    total, waiting = 0, [value]
    while waiting and total <= enough:
        each = waiting.pop()
        total += NODE
        if isinstance(each, str):
            total += len(each)
        elif isinstance(each, dict):
            for key, inner in each.items():
                total += len(key)
                if isinstance(inner, str):  # at once, as most are
                    total += NODE + len(inner)
                else:
                    waiting.append(inner)
        elif isinstance(each, list):
            waiting.extend(each)
    return total

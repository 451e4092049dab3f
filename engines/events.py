"""An OpenAI stream on its way through: server-sent events in, the same bytes out, and the few facts that matter.

Per chunk this is a handful of searches at C speed; an event is parsed only before the content begins and where it
carries usage, an error or the end.
"""

from __future__ import annotations

import re

import msgspec

from engines.api import Usage
from engines.spoken import Chunk

MAX_EVENT = 1 << 20
"""Bytes of one event; tool calls and logprobs of a whole answer stay far below."""
_CR = ord(b"\r")
_DONE = b"data: [DONE]\n\n"


_decode = msgspec.json.Decoder(Chunk).decode


def rename(document: bytes, reported: bytes, public: bytes) -> tuple[bytes, bytes] | None:
    """The replacement that puts the public model name (JSON) where the server wrote its own; None if they agree."""
    if not reported or reported == public:
        return None
    found = re.search(rb'"model"\s*:\s*' + re.escape(reported), document)
    return (found[0], b'"model":' + public) if found else None


class EventFilter:
    """Feeds one stream through. `failure` says why it can't go on, `done` that `[DONE]` was seen."""

    __slots__ = (
        "_last",
        "_newest",
        "_public",
        "_renaming",
        "_rest",
        "_show_usage",
        "chunks",
        "content_started",
        "done",
        "failure",
        "usage",
    )

    def __init__(self, model: str, *, show_usage: bool) -> None:
        self._public = msgspec.json.encode(model)
        self._show_usage = show_usage
        self._renaming: tuple[bytes, bytes] | None = None
        self._rest = b""
        self._last = b""  # a usage event that the server owes the client
        self._newest = b""  # whole events, the last of which is the newest with choices
        self.content_started = False
        self.chunks = 0  # events with content
        self.done = False
        self.failure: str | None = None
        self.usage: Usage | None = None

    def __repr__(self) -> str:
        state = "done" if self.done else self.failure or "open"
        return f"<EventFilter {state}, {self.chunks} chunks, {len(self._rest)} B held>"

    def feed(self, data: bytes) -> bytes:
        """Whole events for the client out of the next bytes of the server; b"" if there are none yet."""
        if self.done or self.failure:
            return b""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        elif (
            self.content_started
            and data.find(b"\n\n") == len(data) - 2  # by far the most: one whole event, of nothing special
            and data.endswith(b"}\n\n")
            and data.find(b'"usage"') < 0  # for bytes, `in` first makes an error and forgets it
            and data.find(b'"error"') < 0
            and _CR not in data
        ):
            self.chunks += 1
            self._newest = data
            return data.replace(*self._renaming) if self._renaming else data
        return self._feed_any(data)

    def close(self) -> bytes:
        """`[DONE]` in the place of a server that ended without it, as some do; b"" if it had not finished its answer.

        For streams of one answer: of several, another may be the unfinished one.
        """
        newest = self._newest.rstrip(b"\n").rpartition(b"\n\n")[2]
        try:
            choices = _decode(payload_of(newest)).choices
        except (UnicodeDecodeError, RecursionError, msgspec.DecodeError):
            return b""
        if self._rest or self.failure or not (choices and choices[-1].finish_reason):
            return b""
        self.done = True
        return self._last + _DONE

    def _feed_any(self, data: bytes) -> bytes:
        if _CR in data:
            data = self._unify_line_ends(data)
        if not data.endswith(b"\n\n"):
            data = self._hold_unfinished(data)
        if (
            not self.content_started
            or (b'"usage"' in data and data.count(b'"usage"') != data.count(b'"usage":null'))
            or b'"error"' in data
            or data.count(b"\n\n") != data.count(b"}\n\n")  # a comment, the end, or an event that was cut
        ):
            return self._feed_each(data)
        self.chunks += data.count(b"\n\n")
        self._newest = data or self._newest
        return data.replace(*self._renaming) if self._renaming else data

    def _unify_line_ends(self, data: bytes) -> bytes:
        # JSON never holds a bare CR, so every one of them is a line end of the event stream.
        if data.endswith(b"\r"):  # perhaps half of a CRLF
            data, self._rest = data[:-1], b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold_unfinished(self, data: bytes) -> bytes:
        end = data.rfind(b"\n\n")
        end = 0 if end < 0 else end + 2
        self._rest = data[end:] + self._rest
        if len(self._rest) > MAX_EVENT:
            self.failure = "The model server sent an event without an end."
        return data[:end]

    def _feed_each(self, data: bytes) -> bytes:
        out = []
        for event in data.split(b"\n\n"):
            if event:
                out.append(self._read(event))
                if self.done or self.failure:
                    break
        return b"".join(out)

    def _read(self, event: bytes) -> bytes:
        event = event.lstrip(b"\n")
        payload = event if event.startswith(b"{") else payload_of(event)
        if not payload:
            return b""  # a comment: we send our own
        if payload == b"[DONE]":
            self.done = True
            return self._last + _DONE
        try:
            chunk = _decode(payload)
            if not chunk.is_error():
                return self._pass(event, payload, chunk)
            self.failure = "The model server reported an error in its stream."
        except (UnicodeDecodeError, RecursionError, msgspec.DecodeError):
            self.failure = "The model server sent a malformed event."
        return b""

    def _pass(self, event: bytes, payload: bytes, chunk: Chunk) -> bytes:
        if not self.content_started:
            self._renaming = rename(event, bytes(chunk.model), self._public)
        if chunk.choices:
            self._newest = b"data: " + payload
        if any(choice.says_something() for choice in chunk.choices):
            self.content_started = True
            self.chunks += 1
        if chunk.usage is not None:
            self.usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            event = self._show(event, payload, alone=not chunk.choices)
        if self._renaming:
            event = event.replace(*self._renaming)
        return event and event + b"\n\n"

    def _show(self, event: bytes, payload: bytes, *, alone: bool) -> bytes:
        """An event with usage as the client shall see it: OpenAI reports usage in an event of its own, if at all.

        Some servers report it along with the last content: then a copy without content is kept for the end.
        """
        if alone:
            self._last = b""
            return event if self._show_usage else b""
        members = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        members["model"] = msgspec.Raw(self._public)
        if self._show_usage:
            self._last = _event({**members, "choices": msgspec.Raw(b"[]")}) + b"\n\n"
            return event
        del members["usage"]
        return _event(members)


def _event(members: dict[str, msgspec.Raw]) -> bytes:
    return b"data: " + msgspec.json.encode(members)


def payload_of(event: bytes) -> bytes:
    """The JSON of an event, without the names of its lines."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)

"""Hears an answer pass, and knows in the end why it ended."""

from __future__ import annotations

import msgspec

NULL = b'"finish_reason":null'


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Said(msgspec.Struct):
    choices: list[_Choice] = []


_decode = msgspec.json.Decoder(_Said).decode


class FinishEar:
    """A `router.comparing.Ear` for documents and events as OpenAI has them. Keeps one piece, and decodes it when asked.

    Of several choices the last one to end counts.
    """

    __slots__ = ("_ending",)

    def __init__(self) -> None:
        self._ending = b""

    def __repr__(self) -> str:
        return f"<FinishEar {self.finish_reason or 'not ended'}>"

    def hear(self, data: bytes) -> None:
        if data.count(b'"finish_reason"') != data.count(NULL):
            self._ending = data

    @property
    def finish_reason(self) -> str:
        for event in reversed(self._ending.split(b"\n\n")):
            try:
                choices = _decode(event.removeprefix(b"data: ")).choices
            except (UnicodeDecodeError, RecursionError, msgspec.DecodeError):
                continue  # the end of the stream, or nonsense that the client is to judge
            for choice in reversed(choices):
                if choice.finish_reason:
                    return choice.finish_reason
        return ""

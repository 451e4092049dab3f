"""What a scripted model says, and the fault it shows: from a directive `@@key=value,key=value@@` in the prompt.

    fault          after `after` tokens
    error          an error (with `after=0`: before anything else)
    die            the model's process kills itself
    stall          nothing more is said (with `after=0`: nothing ever)
    huge           a token of `size` bytes
    invalid_utf8   a token of bytes that are no text
    wrong_dtype    the text comes as INT32
    missing_output the response has no text
    cut_character  every token is one byte of a text with characters of several bytes, from the start
    no_final       all is said, and the stream never ended

After huge, invalid_utf8, wrong_dtype and missing_output the answer goes on as if nothing had been. The text is the
simulated upstream's (`loadtests.fleet.answers`), and so is how a directive is spelled (`loadtests.fleet.settings`);
that itself is not imported, for Triton's environment has little of what it needs.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

Fault = Literal[
    "",
    "error",
    "die",
    "stall",
    "huge",
    "invalid_utf8",
    "wrong_dtype",
    "missing_output",
    "cut_character",
    "no_final",
]
Count = Annotated[int, msgspec.Meta(ge=0)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]

TEXT = (
    "The quick brown fox jumps over the lazy dog and then it goes back home to rest for the remainder of the "
    "afternoon because that is what a fox does when the work of the day is done"
)
_WORDS = TEXT.split()
CUT = "Größe, naïve café, 漢字 und 🏔!"
_MARK = re.compile(rb"@@([a-z_]+=[^@\"\s]*)@@")


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tokens`: length of an answer, unless its request asks for less. `ttft_ms` before the first, `delay_ms` between
    two. `seed`: the first word of the text. `says`: another text, in hexadecimal; four bytes of it are a token.
    `size`: bytes of the fault `huge`.
    """

    tokens: Count = 32
    ttft_ms: Milliseconds = 0
    delay_ms: Milliseconds = 0
    seed: Count = 0
    says: str = ""
    fault: Fault = ""
    after: Count = 0
    size: Count = 1 << 20

    def pieces(self, cap: int, bad: list[bytes]) -> list[bytes]:
        """The answer, token by token, without those that hold one of the `bad` words."""
        if self.fault == "cut_character":
            said = _cut(CUT.encode(), 1)
        elif self.says:
            said = _cut(bytes.fromhex(self.says), 4)
        else:
            words = [_WORDS[(self.seed + at) % len(_WORDS)] for at in range(self.tokens)]
            said = [f"{' ' if at else ''}{word}".encode() for at, word in enumerate(words)]
        if self.fault == "huge":
            said[self.after : self.after + 1] = [b"x" * self.size]
        elif self.fault == "invalid_utf8":
            said[self.after : self.after + 1] = [b"\xff\xfe"]
        return [piece for piece in said if not any(word in piece for word in bad)][:cap]

    def pause(self, at: int) -> float:
        """Seconds before token number `at`."""
        return (self.delay_ms if at else self.ttft_ms) / 1000


def _cut(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def script_in(prompt: bytes) -> Script:
    """Raises `ValueError` on a directive that makes no sense."""
    marks = _MARK.findall(prompt)
    changes = dict(pair.partition("=")[::2] for pair in marks[-1].decode().split(",")) if marks else {}
    return msgspec.convert(changes, Script, strict=False)


def until_stop(text: bytes, stops: list[bytes]) -> tuple[int, bytes] | None:
    """Where the earliest of the stop words begins in `text`, and which one it is."""
    return min(((at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0), default=None)

"""What becomes of the text of a model that may call tools: what it said, and the calls that it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

MAX_CALLS = 128
"""Calls in one answer; whatever follows them is text."""

MAX_HELD = 1 << 18
"""Characters of something that may become a call and is not known to be one yet; beyond, it is text."""


class Said(msgspec.Struct, frozen=True):
    """Text that is no part of a call, as the model wrote it."""

    text: str


class CallBegun(msgspec.Struct, frozen=True):
    """A call number `index`, from 0; its arguments follow."""

    index: int
    id: str
    name: str


class CallArguments(msgspec.Struct, frozen=True):
    """The next piece of the JSON text of a call's arguments; an object, unless the model broke off."""

    index: int
    fragment: str


Part: TypeAlias = Said | CallBegun | CallArguments

NewId: TypeAlias = Callable[[], str]
"""Makes the id of a call, unique for whoever answers it."""


class ToolParser(Protocol):
    """Reads one answer; knows one way of writing calls. Nothing that it is fed makes it raise.

    A call begins when its name and the beginning of its arguments have been read: only then is it certain to be one.
    Until then all of it is kept, and said if it is none. What does not belong to the format is said, from there on;
    arguments that were begun can't be taken back and stay as far as they were right. White space before the first
    call, between calls and behind the last is the format's. Work is linear in the text, however it is cut.
    """

    def feed(self, text: str) -> list[Part]: ...

    def finish(self) -> list[Part]:
        """The end of the answer: what is still held was text."""
        ...

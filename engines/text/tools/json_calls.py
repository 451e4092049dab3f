"""What the formats share that write a call as a JSON object, and those among them that announce calls by a marker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from engines.text.borders import begins_at
from engines.text.tools.api import NewId, Part
from engines.text.tools.json_call import JsonCall
from engines.text.tools.reading import Reading, State


class JsonCalls(Reading, ABC):
    """Reads a call by `read_call`, and on by `closed` or `broke`."""

    __slots__ = ("_call",)

    def __init__(self, new_id: NewId, state: State) -> None:
        super().__init__(new_id, state)
        self._call: JsonCall | None = None

    def finish(self) -> list[Part]:
        if self._call is not None:
            self._gap = self._call.unsaid
        return super().finish()

    def _start_call(self) -> None:
        self._call = JsonCall(self._begin, "".join(self._gap))
        self._gap = []
        self._state = JsonCalls.read_call

    def read_call(self, text: str, at: int, out: list[Part]) -> int:
        assert self._call is not None
        call = self._call
        at = call.read(text, at, out)
        if call.done or call.broken:
            self._gap = call.unsaid
            self._state = type(self).closed if call.done else type(self).broke
            self._call = None
        return at

    @abstractmethod
    def closed(self, text: str, at: int, out: list[Part]) -> int:
        """Behind a call."""

    @abstractmethod
    def broke(self, text: str, at: int, out: list[Part]) -> int:
        """Where a call broke off; if it had not begun, it is in the gap."""


class Marked(JsonCalls):
    """For formats in which a marker announces calls, anywhere in the text. `opened` reads on behind the marker."""

    __slots__ = ("_spoke",)

    marker: ClassVar[str]

    def __init__(self, new_id: NewId) -> None:
        super().__init__(new_id, Marked.text)
        self._spoke = False  # since the last call: white space is the text's now

    def broke(self, text: str, at: int, out: list[Part]) -> int:
        """What looked like a call was text, and so is what follows, up to the next marker."""
        self._say("", out)
        self._spoke = True
        self._state = Marked.text
        return at

    def text(self, text: str, at: int, out: list[Part]) -> int:
        if self._full:
            self._state = Reading.rest
            return at
        if not self._spoke:
            at = self._skip(text, at)
        found = text.find(self.marker, at)
        end = found if found >= 0 else at + begins_at(text[at:], self.marker)
        if end > at:
            self._say(text[at:end], out)
            self._spoke = True
        if found < 0:
            return self._hold(text, end)
        self._gap.append(self.marker)
        self._state = type(self).opened
        return found + len(self.marker)

    @abstractmethod
    def opened(self, text: str, at: int, out: list[Part]) -> int:
        """Behind the marker, which is in the gap."""

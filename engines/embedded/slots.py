"""The embedded model's slots: so many calls run at a time, and one more is refused at once.

Whoever calls keeps to that number, which is the engine's capacity. What comes all the same (a copy, a call that another
replica has failed) would wait in llama.cpp, where nobody could tell for how long.
"""

from __future__ import annotations

from engines.api import Overloaded


class Slots:
    """`slots` holds at a time."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.held = 0

    def __repr__(self) -> str:
        return f"<Slots {self.held}/{self._slots} held>"

    def take(self) -> Slot:
        """Raises Overloaded if all are held."""
        if self.held >= self._slots:
            raise Overloaded("All slots of the embedded model are in use.")
        self.held += 1
        return Slot(self)


class Slot:
    """One call's hold of a slot."""

    __slots__ = ("_released", "_slots")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._released = False

    def __repr__(self) -> str:
        return f"<Slot {'released' if self._released else 'held'}>"

    def release(self) -> None:
        """Idempotent, never waits."""
        if not self._released:
            self._released = True
            self._slots.held -= 1

"""How a model writes the journal: a note when a request begins, completed when it ends."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

from loadtests.triton import journal
from loadtests.triton.models.asked import Asked

JOURNAL = "TRITON_JOURNAL"
"""The environment variable that names the journal's file."""


class Notes:
    """Those of one instance of a model."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._path = Path(os.environ[JOURNAL])
        self._numbers = itertools.count(time.monotonic_ns())  # instances of a model count apart

    def __repr__(self) -> str:
        return f"<Notes {self.model}>"

    def begin(self, asked: Asked) -> Note:
        note = Note(self, next(self._numbers), asked.id)
        self.write(note, **asked.for_journal())
        return note

    def write(self, note: Note, **more: Any) -> None:
        entry = journal.Entry(model=self.model, number=note.number, at=time.monotonic(), id=note.id, **more)
        journal.write(self._path, entry)


class Note:
    """That of one request."""

    def __init__(self, notes: Notes, number: int, request_id: str) -> None:
        self._notes = notes
        self.number = number
        self.id = request_id

    def __repr__(self) -> str:
        return f"<Note {self._notes.model} {self.number}>"

    def end(self, outcome: journal.Outcome, tokens: int = 0) -> None:
        self._notes.write(self, outcome=outcome, tokens=tokens)

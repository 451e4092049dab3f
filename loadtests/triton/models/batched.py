"""What the models share that answer the requests of a batch one after the other: a response each, and a journal."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from loadtests.triton.models.asked import Asked
from loadtests.triton.models.notes import Notes


class Batched:
    """Triton calls `initialize` once and `execute` with a batch; how a request is answered says `answer`."""

    def initialize(self, args: dict[str, str]) -> None:
        self._notes = Notes(args["model_name"])

    @abstractmethod
    def answer(self, asked: Asked) -> Any:
        """The response, which may be an error."""

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._noted(Asked(request)) for request in requests]

    def _noted(self, asked: Asked) -> Any:
        note = self._notes.begin(asked)
        response = self.answer(asked)
        note.end("failed" if response.has_error() else "finished")
        return response

"""Runs a coroutine and cancels it at its k-th suspension, for tests that try every k."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Literal

When = Literal["waiting", "ready"]
"""Cancelled while what it awaits is still to come, or just when it has come: the race in which holds are lost."""


class Interrupting:
    """Awaits `coroutine`; a cancellation arrives at suspension number `at`, from 1. `suspensions`: how many came."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], at: int, when: When) -> None:
        self._coroutine = coroutine
        self._at = at
        self._when = when
        self.suspensions = 0

    def __repr__(self) -> str:
        return f"<Interrupting at {self._at} [{self.suspensions} so far]>"

    async def run(self) -> None:
        """Ends as the coroutine does: normally, or cancelled."""
        await self

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._coroutine.__await__()
        task = asyncio.current_task()
        assert task is not None
        awaited = next(steps, _END)
        while awaited is not _END:
            self.suspensions += 1
            now = self.suspensions == self._at
            if now and self._when == "waiting":
                task.get_loop().call_soon(task.cancel)
            try:
                yield awaited
                arrived: BaseException | None = asyncio.CancelledError() if now else None
            except BaseException as error:  # noqa: BLE001  # passed on
                arrived = error
            try:
                awaited = steps.throw(arrived) if arrived is not None else next(steps)
            except StopIteration:
                return


_END = object()

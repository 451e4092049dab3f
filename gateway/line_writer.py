"""Log lines on their way to a descriptor that may be slow, stuck or gone: whoever logs never waits for it."""

from __future__ import annotations

import os
import select
from collections import deque
from threading import Condition, Thread
from typing import Final

BOUND: Final = 8 * 2**20
"""Most bytes that wait for the reader; what comes on top is dropped and counted."""


class LineWriter:
    """Batches of lines, one `os.write` each, by a daemon thread that starts with the first batch.

    The thread alone may wait for the descriptor. A reader that stops reading costs `bound` bytes of memory, then
    lines; one that went away costs lines; neither raises here.
    """

    def __init__(self, fd: int, bound: int = BOUND) -> None:
        self._fd = fd
        self._bound = bound
        self._batches: deque[tuple[bytes, int]] = deque()
        self._pending = 0  # bytes, those being written included
        self._changed = Condition()
        self._thread: Thread | None = None
        self.lost = 0
        """Lines dropped so far."""

    def __repr__(self) -> str:
        return f"<LineWriter to {self._fd}, {self._pending} bytes pending, {self.lost} lines lost>"

    def write(self, data: bytes, lines: int = 1) -> None:
        """Hand over whole lines; returns at once."""
        with self._changed:
            if self._pending + len(data) > self._bound:
                self.lost += lines
                return
            self._batches.append((data, lines))
            self._pending += len(data)
            if self._thread is None:
                self._thread = Thread(target=self._run, name=f"log-{self._fd}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all is written, for at most `timeout` seconds; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._batches)
                data, lines = self._batches.popleft()
            written = self._deliver(data)
            with self._changed:
                self._pending -= len(data)
                if not written:
                    self.lost += lines
                self._changed.notify_all()

    def _deliver(self, data: bytes) -> bool:
        """Write all of it, however long that takes; false if nobody can read it."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                # A pipe shared with a non-blocking process. With less room than PIPE_BUF it counts as not writable.
                select.select((), (self._fd,), (), 1.0)
            except OSError:
                return False
        return True

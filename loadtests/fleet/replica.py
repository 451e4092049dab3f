"""One simulated model server: its settings, slots, log and listener."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from loadtests.fleet.calls import CallLog
from loadtests.fleet.connection import Connection
from loadtests.fleet.listener import Listener
from loadtests.fleet.scripts import script
from loadtests.fleet.settings import Settings
from loadtests.fleet.turn import Turn


class Replica:
    """Serves on 127.0.0.1 from the moment it is made until `close`. Belongs to the running loop."""

    def __init__(self, fleet: list[Replica], settings: Settings, port: int = 0) -> None:
        self.loop = asyncio.get_running_loop()
        self.calls = CallLog()
        self._started_with = self._settings = settings
        self._running: set[Turn] = set()
        self._queue: deque[Turn] = deque()
        self.listener = Listener(lambda listener: Connection(listener, self, fleet), port)
        self.listener.listen("open")

    def __repr__(self) -> str:
        return f"<Replica {self.url} {len(self._running)} running, {len(self._queue)} queued, {self.calls!r}>"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.port}/v1"

    @property
    def settings(self) -> Settings:
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        """Holds for requests that come from now on; a changed number of slots for those that wait, too."""
        self._settings = settings
        self._fill()

    def stats(self) -> dict[str, Any]:
        """Counts since the last reset, and what is here now."""
        connections = self.listener.connections
        return {
            **self.calls.counts,
            "running": len(self._running),
            "queued": len(self._queue),
            "open_connections": len(connections),
            "waiting_bytes": sum(connection.waiting() for connection in connections),
            "listening": self.listener.mode,
        }

    def reset(self) -> None:
        """Settings and listener as in the beginning, and an empty log. Requests that run go on."""
        self.settings = self._started_with
        self.listener.listen("open")
        self.calls.reset()

    def enter(self, turn: Turn) -> None:
        """Serve the request, now or when its turn comes."""
        self._queue.append(turn)
        self._fill()

    def release(self, turn: Turn) -> None:
        """The request has ended, served or not."""
        if turn in self._running:
            self._running.discard(turn)
        else:
            self._queue.remove(turn)
        self._fill()

    def close(self) -> None:
        self.listener.close()

    def _fill(self) -> None:
        slots = self._settings.slots
        while self._queue and (not slots or len(self._running) < slots):
            turn = self._queue.popleft()
            self._running.add(turn)
            turn.serve(script(turn))

"""One simulated model server: its settings, slots, log and listener."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from loadtests.fleet.calls import Call, CallLog
from loadtests.fleet.connection import Connection
from loadtests.fleet.listener import Listener
from loadtests.fleet.settings import Mode, Settings, changed
from loadtests.fleet.turn import Turn

if TYPE_CHECKING:
    from loadtests.fleet.triton.contracts import ContractName
    from loadtests.fleet.triton.server import TritonServer


class Replica:
    """Serves on 127.0.0.1 from the moment it is made until `aclose`. Belongs to the running loop."""

    def __init__(self, fleet: list[Replica], settings: Settings, port: int = 0) -> None:
        self.loop = asyncio.get_running_loop()
        self.calls = CallLog()
        self._started_with = self._settings = settings
        self._running: set[Turn] = set()
        self._queue: deque[Turn] = deque()
        self._filling = False
        self._peak = 0
        self.triton: TritonServer | None = None
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

    @property
    def queued(self) -> int:
        """Requests that wait for a slot."""
        return len(self._queue)

    async def speak_triton(self, contract: ContractName, port: int = 0) -> None:
        """Serve gRPC, too: at a port of its own, from the same slots and log."""
        from loadtests.fleet.triton.server import TritonServer  # a fleet that speaks HTTP alone needs no gRPC

        self.triton = TritonServer(self, contract)
        await self.triton.start(port)

    def set(self, **changes: object) -> None:
        """Change some settings; raises `msgspec.ValidationError` on nonsense."""
        self.settings = changed(self._settings, changes)

    def listen(self, mode: Mode, *, drop: bool = False) -> None:
        """What happens to new connections; `drop` resets the present ones, too."""
        for listener in self._listeners():
            listener.listen(mode)
            if drop:
                listener.drop()

    async def wait_for(self, predicate: Callable[[Sequence[Call]], bool], timeout: float = 5.0) -> list[Call]:  # noqa: ASYNC109 -- its bound is its point
        """The calls as soon as `predicate(calls)` holds; `TimeoutError` after `timeout` seconds."""
        return await self.calls.wait_for(predicate, timeout)

    def stats(self) -> dict[str, Any]:
        """Counts since the last reset, and what is here now."""
        connections = [connection for listener in self._listeners() for connection in listener.connections]
        return {
            **self.calls.counts,
            "running": len(self._running),
            "peak_running": self._peak,
            "queued": len(self._queue),
            "open_connections": len(connections),
            "waiting_bytes": sum(connection.waiting() for connection in connections),
            "listening": self.listener.mode,
            **(self.triton.stats() if self.triton else {}),
        }

    def reset(self) -> None:
        """Settings and listener as in the beginning, and an empty log. Requests that run go on."""
        self.settings = self._started_with
        self.listen("open")
        self.calls.reset()
        self._peak = len(self._running)
        if self.triton:
            self.triton.reset()

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

    async def aclose(self) -> None:
        await self.listener.aclose()
        if self.triton:
            await self.triton.aclose()

    def _listeners(self) -> list[Listener]:
        return [self.listener, self.triton.listener] if self.triton else [self.listener]

    def _fill(self) -> None:
        if self._filling:  # a request that ended at once: the loop below goes on
            return
        self._filling = True
        while self._queue and (not self._settings.slots or len(self._running) < self._settings.slots):
            turn = self._queue.popleft()
            self._running.add(turn)
            self._peak = max(self._peak, len(self._running))
            turn.serve()
        self._filling = False

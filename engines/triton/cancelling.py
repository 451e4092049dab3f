"""How calls that nobody waits for are ended: cancelled, not faster than a server stands it, or heard to their end.

A gRPC cancellation does not reach the middle of an ensemble, so there the model inside is told as well; and a burst of
cancellations has wedged servers that go on to say that they are well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

from engines.grpc.api import Rpc, RpcError
from engines.sweeper import NEVER, Sweeper

CancelPolicy = Literal["cancel", "drain-then-discard"]


class Cancelling:
    """Owns the calls that outlive their requests. `rate` is the most cancellations in a second, None for no bound;

    `tell` opens the call that stops a request inside an ensemble, by its id. `clock` is the event loop's, in seconds.
    """

    def __init__(
        self,
        sweeper: Sweeper,
        clock: Callable[[], float],
        *,
        policy: CancelPolicy = "cancel",
        rate: float | None = None,
        tell: Callable[[str], Rpc] | None = None,
    ) -> None:
        self._sweeper = sweeper
        self._clock = clock
        self._policy = policy
        self._pause = 1 / rate if rate else 0.0
        self._tell = tell
        self._free_at = 0.0  # when the next cancellation may be sent
        self._waiting: deque[tuple[Rpc, str]] = deque()
        self._listening: set[asyncio.Task[None]] = set()
        self.due = NEVER

    def __repr__(self) -> str:
        return f"<Cancelling {self._policy}, {len(self._waiting)} to cancel, {len(self._listening)} heard out>"

    def let_go(self, rpc: Rpc, request: str) -> None:
        """Never waits. What is not cancelled at once makes the server wait by itself: nobody reads it."""
        if self._policy == "drain-then-discard":
            self._hear_out(rpc)
            return
        now = self._clock()
        if self._waiting or now < self._free_at:
            self._waiting.append((rpc, request))
            self._watch()
        else:
            self._cancel(rpc, request, now)

    def expire(self, now: float) -> None:
        while self._waiting and self._free_at <= now:
            self._cancel(*self._waiting.popleft(), self._free_at)
        self._watch()

    def aclose(self) -> None:
        """Cancels all that is still owned, at once: the channel is about to be closed."""
        self._sweeper.discard(self)
        for rpc, _request in self._waiting:
            rpc.cancel()
        self._waiting.clear()
        for task in tuple(self._listening):
            task.cancel()

    def _watch(self) -> None:
        self.due = self._free_at if self._waiting else NEVER
        (self._sweeper.add if self._waiting else self._sweeper.discard)(self)

    def _cancel(self, rpc: Rpc, request: str, at: float) -> None:
        self._free_at = at + self._pause
        rpc.cancel()
        if self._tell is not None:
            self._hear_out(self._tell(request))

    def _hear_out(self, rpc: Rpc) -> None:
        task = asyncio.get_running_loop().create_task(_hear_out(rpc))
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)


async def _hear_out(rpc: Rpc) -> None:
    """Reads to the end, which the call's own time limit bounds."""
    try:
        await rpc.flow(lambda _message: True)
        await rpc.read()
    except RpcError:
        pass  # an end as good as any
    finally:
        rpc.cancel()

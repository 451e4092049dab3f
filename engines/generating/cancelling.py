"""How calls that nobody waits for are ended: cancelled, not faster than a server stands it, or heard to their end.

A gRPC cancellation does not reach the middle of an ensemble, so there the model inside is told as well; and a burst of
cancellations has wedged servers that go on to say that they are well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Literal

from engines.generating.detached import Detached
from engines.grpc.api import Rpc, RpcError
from engines.sweeper import NEVER, TICK, Sweeper

LINGER = 1.0
"""Seconds that a call may take to end once there is nothing more to be said."""

CancelPolicy = Literal["cancel", "drain-then-discard"]


class Cancelling:
    """Owns the calls that outlive their requests: each is to be `opened` here, and `let_go` unless it ended by itself.

    `rate` is the most cancellations in a second, to within a sweep of the sweeper; None sets no bound. `tell` opens the
    call that stops a request inside an ensemble, by its id, where one is needed. `clock` is the event loop's, in
    seconds.
    """

    def __init__(
        self,
        sweeper: Sweeper,
        clock: Callable[[], float],
        *,
        policy: CancelPolicy = "cancel",
        rate: float | None = None,
        tell: Callable[[str], Rpc | None] | None = None,
    ) -> None:
        self._sweeper = sweeper
        self._clock = clock
        self._policy = policy
        self._pause = 1 / rate if rate else 0.0
        self._tell = tell
        self._free_at = 0.0  # when the next cancellation may be sent
        self._waiting: deque[tuple[Detached, str]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.due = NEVER

    def __repr__(self) -> str:
        return f"<Cancelling {self._policy}, {len(self._waiting)} wait to be cancelled, {len(self._tasks)} heard here>"

    def opened(self, rpc: Rpc) -> Rpc:
        """The call as its request may read it."""
        if self._policy == "cancel" and not self._pause:
            return rpc
        detached = Detached(rpc)
        self._own(detached.pump())
        return detached

    def let_go(self, rpc: Rpc, request: str) -> None:
        """Never waits. `request` is the call's id at the server."""
        rpc.cancel()
        if self._policy == "drain-then-discard":
            return
        if not isinstance(rpc, Detached):
            self._stop(request)
            return
        now = self._clock()
        if self._waiting or now < self._free_at:
            self._waiting.append((rpc, request))
            self._watch()
        elif not rpc.over:
            self._cancel(rpc, request, now)

    def let_end(self, rpc: Rpc, request: str) -> None:
        """For a call that has failed or said all, which its server is about to end: a cancellation that meets that end
        has crashed Triton. One that does not end within `LINGER` is let go.
        """
        self._own(self._let_end(rpc, request))

    def expire(self, now: float) -> None:
        self._free_at = max(self._free_at, now - TICK)  # what a halted loop has missed is not made up for
        while self._waiting and self._free_at <= now:
            rpc, request = self._waiting.popleft()
            if not rpc.over:
                self._cancel(rpc, request, self._free_at)
        self._watch()

    async def aclose(self) -> None:
        """Ends all that is still owned, at once; also what is begun as others are let go."""
        while tasks := list(self._tasks):
            await asyncio.sleep(0)  # one that is cancelled before its first step would let go of nothing
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.clear()
        self._watch()

    def _watch(self) -> None:
        self.due = self._free_at if self._waiting else NEVER
        (self._sweeper.add if self._waiting else self._sweeper.discard)(self)

    def _cancel(self, rpc: Detached, request: str, at: float) -> None:
        self._free_at = at + self._pause
        rpc.inner.cancel()
        self._stop(request)

    def _stop(self, request: str) -> None:
        if self._tell is not None and (telling := self._tell(request)) is not None:
            self._own(_hear_out(telling))

    async def _let_end(self, rpc: Rpc, request: str) -> None:
        ended = False
        try:
            ended = await _ends(rpc)
        finally:
            if not ended:
                self.let_go(rpc, request)

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _ends(rpc: Rpc) -> bool:
    """Reads on; whether the call has ended within `LINGER`."""
    try:
        async with asyncio.timeout(LINGER):
            while await rpc.read() is not None:
                pass
    except RpcError:
        pass  # an end as good as any
    except TimeoutError:
        return False
    return True


async def _hear_out(rpc: Rpc) -> None:
    """Of a call that is about to end."""
    try:
        await _ends(rpc)
    finally:
        rpc.cancel()

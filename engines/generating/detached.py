"""A call whose reader may go while it goes on: needed where leaving must not cancel it, or not at once.

A cancelled read cancels the call itself in `grpc.aio`. So here a task of its own reads, and outlives the request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from engines.grpc.api import Code, Rpc, RpcError

MAX_HELD = 16
MAX_BYTES = 64 * 1024
"""Messages, and what is in them, that are held for a reader that is behind, before the server has to wait."""


class Detached:
    """An `Rpc` around `inner`. `cancel` only ends the reading: what still comes is read on and thrown away.

    `pump` must run in a task; it returns when the inner call has ended.
    """

    __slots__ = ("_changed", "_end", "_held", "_into", "_left", "_over", "_raised", "_room", "_stopped", "inner")

    def __init__(self, inner: Rpc) -> None:
        self.inner = inner
        self._held: deque[bytes] = deque()
        self._into: Callable[[bytes], bool] | None = None
        self._changed = asyncio.Event()  # something for the reader
        self._room = asyncio.Event()  # something for the pump
        self._stopped = False  # whether the server has to wait
        self._left = False
        self._over = False
        self._end: RpcError | None = None
        self._raised: Exception | None = None  # by the reader's own `into`

    def __repr__(self) -> str:
        state = "over" if self._over else "left" if self._left else "read"
        return f"<Detached {state}, {len(self._held)} messages held>"

    @property
    def over(self) -> bool:
        """Whether the inner call has ended."""
        return self._over

    async def pump(self) -> None:
        try:
            while True:
                self._stopped = False
                await self.inner.flow(self._put)
                if not self._stopped:  # there may be room again by now
                    break
                await self._room.wait()
            while await self.inner.read() is not None:
                pass  # flow has ended, so this only tells how
        except RpcError as error:
            self._end = self._end or error
        finally:
            self.inner.cancel()
            self._over = True
            self._changed.set()

    async def read(self) -> bytes | None:
        while not self._held:
            if self._over or self._left:
                if self._end is not None:
                    raise self._end
                return None
            await self._wait()
        message = self._held.popleft()
        self._room.set()
        return message

    async def flow(self, into: Callable[[bytes], bool]) -> None:
        self._room.set()
        while self._held:
            if not into(self._held.popleft()):
                return
        self._into = into
        try:
            while self._flowing():
                await self._wait()
        finally:
            self._into = None
            raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def cancel(self) -> None:
        if not (self._over or self._left):
            self._left = True
            self._end = RpcError(Code.CANCELLED, "left")
            self._held.clear()
            self._changed.set()
            self._room.set()

    def _flowing(self) -> bool:
        return self._into is not None and not (self._over or self._left)

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _put(self, message: bytes) -> bool:
        if self._left:
            return True
        if self._into is not None:
            try:
                more = self._into(message)
            except Exception as error:  # noqa: BLE001 - the reader's own, such as of a client that is gone: the call goes on
                more, self._raised = False, error
            if not more:
                self._into = None
                self._changed.set()
            return True
        self._held.append(message)
        self._changed.set()
        if len(self._held) < MAX_HELD and sum(map(len, self._held)) < MAX_BYTES:
            return True
        self._stopped = True
        self._room.clear()
        return False

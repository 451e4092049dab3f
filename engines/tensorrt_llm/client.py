"""The gateway's end of the connection to its child: many calls on it, each of which is read like one of gRPC's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self, cast

import msgspec

from engines.api import TimedOut, Unreachable
from engines.grpc.api import Code, RpcError
from engines.sweeper import Sweeper
from engines.tensorrt_llm.wire import (
    MAX_PAYLOAD,
    STEP,
    Complaint,
    Frame,
    Frames,
    Kind,
    State,
    Wanted,
    frame,
)

_GONE = RpcError(Code.UNAVAILABLE, "The child has ended.")
_BROKE = RpcError(Code.UNAVAILABLE, "The connection to the server broke.")  # as it had the call: maybe because of it


class ChildConnection(asyncio.Protocol):
    """Made by `connect`. What is sent and not yet taken by the child waits in the transport: prompts, in the main."""

    def __init__(self, sweeper: Sweeper) -> None:
        self._sweeper = sweeper
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._calls: dict[int, ChildCall] = {}
        self._last = 0
        self._asked: deque[asyncio.Future[State]] = deque()
        self._lost = asyncio.Event()

    def __repr__(self) -> str:
        return f"<ChildConnection {'closed' if self.closed else 'open'}, {len(self._calls)} calls>"

    @classmethod
    async def connect(cls, path: str, sweeper: Sweeper) -> Self:
        """Raises OSError."""
        _, connection = await asyncio.get_running_loop().create_unix_connection(lambda: cls(sweeper), path)
        return connection

    @property
    def closed(self) -> bool:
        return self._transport is None

    def open(self, wanted: Wanted, seconds: float) -> ChildCall:
        """Never waits and never raises: what goes wrong, reading tells."""
        self._last = self._last % 0xFFFFFFFF + 1
        call = ChildCall(self, self._last, self._sweeper, seconds)
        message = frame(Kind.GENERATE, call.number, wanted)
        if self._transport is None:
            call.end(_GONE)
        elif len(message) > MAX_PAYLOAD:
            call.end(RpcError(Code.INVALID_ARGUMENT, "The prompt is too long."))
        else:
            self._calls[call.number] = call
            self._transport.write(message)
        return call

    async def state(self, seconds: float) -> State:
        """How the child is. Raises Unreachable, or TimedOut if it does not say so in time."""
        if self._transport is None:
            raise Unreachable(_GONE.details)
        answer: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._transport.write(frame(Kind.ASK))
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise TimedOut("first_token", seconds) from None

    async def aclose(self) -> None:
        """Calls end with UNAVAILABLE."""
        if self._transport is not None:
            self._transport.abort()
            await self._lost.wait()

    def tell(self, kind: Kind, call: int) -> None:
        """MORE or ABORT of a call."""
        if self._transport is not None:
            self._transport.write(frame(kind, call))

    def forget(self, call: int) -> None:
        self._calls.pop(call, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost.set()
        for call in list(self._calls.values()):
            call.end(_BROKE)
        while self._asked:
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_exception(Unreachable(_GONE.details))

    def data_received(self, data: bytes) -> None:
        try:
            for one in self._frames.feed(data):
                self._take(one)
        except ValueError:  # msgspec's errors are ValueErrors
            if self._transport is not None:
                self._transport.abort()

    def _take(self, one: Frame) -> None:
        if one.kind is Kind.STATE:
            if self._asked and not (answer := self._asked.popleft()).done():
                answer.set_result(msgspec.msgpack.decode(one.payload, type=State))
            return
        call = self._calls.get(one.call)
        if call is None:
            return  # cancelled here, while this was on its way
        if one.kind is Kind.SAID:
            call.push(one.payload)
        elif one.kind is Kind.ENDED:
            call.end(None)
        else:
            complaint = msgspec.msgpack.decode(one.payload, type=Complaint)
            call.end(RpcError(Code(complaint.code), complaint.words))


class ChildCall:
    """One text being generated: see `engines.grpc.api.Rpc`. Holds `wire.WINDOW` messages at most.

    `due` is when it must have ended (see `engines.sweeper`).
    """

    __slots__ = ("_connection", "_error", "_held", "_into", "_over", "_sweeper", "_taken", "_woken", "due", "number")

    def __init__(self, connection: ChildConnection, number: int, sweeper: Sweeper, seconds: float) -> None:
        self._connection = connection
        self._sweeper = sweeper
        self._held: deque[bytes] = deque()
        self._into: Callable[[bytes], bool] | None = None
        self._woken: asyncio.Future[None] | None = None
        self._error: RpcError | None = None
        self._over = False
        self._taken = 0
        self.number = number
        self.due = sweeper.soon(seconds)
        sweeper.add(self)

    def __repr__(self) -> str:
        return f"<ChildCall {self.number} {'over' if self._over else 'open'}, {len(self._held)} messages held>"

    async def read(self) -> bytes | None:
        while not self._held:
            if self._error is not None:
                raise self._error
            if self._over:
                return None
            await self._wait()
        self._count()
        return self._held.popleft()

    async def flow(self, into: Callable[[bytes], bool]) -> None:
        while self._held:
            self._count()
            if not into(self._held.popleft()):
                return
        if not self._over:
            self._into = into
            try:
                await self._wait()
            finally:
                self._into = None

    def cancel(self) -> None:
        if not self._over:
            self._connection.tell(Kind.ABORT, self.number)
            self._held.clear()
            self.end(RpcError(Code.CANCELLED, "The gateway has cancelled the call."))

    def expire(self, _now: float) -> None:
        if not self._over:
            self._connection.tell(Kind.ABORT, self.number)
            self.end(RpcError(Code.DEADLINE_EXCEEDED, "The call's time is over."))

    def push(self, message: bytes) -> None:
        """For the connection: one more message."""
        if self._into is None:
            self._held.append(message)
            self._wake()
            return
        self._count()
        try:
            more = self._into(message)
        except Exception as error:  # noqa: BLE001  # the reader's own: it must not break the connection of all
            self._into = None
            if self._woken is not None and not self._woken.done():
                self._woken.set_exception(error)
            return
        if not more:
            self._into = None
            self._wake()

    def end(self, error: RpcError | None) -> None:
        """For the connection: no more messages."""
        self._over = True
        self._error = error
        self._into = None
        self._sweeper.discard(self)
        self._connection.forget(self.number)
        self._wake()

    def _count(self) -> None:
        self._taken += 1
        if self._taken == STEP:
            self._taken = 0
            if not self._over:
                self._connection.tell(Kind.MORE, self.number)

    async def _wait(self) -> None:
        self._woken = asyncio.get_running_loop().create_future()
        try:
            await self._woken
        finally:
            self._woken = None

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

"""One ModelStreamInfer call: the requests that came on it, and what waits to be written."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from loadtests.fleet.calls import Call, Outcome
from loadtests.fleet.settings import Settings
from loadtests.fleet.triton import scripts
from loadtests.fleet.triton.answers import Answer
from loadtests.fleet.triton.messages import Messages
from loadtests.fleet.turn import Script, Turn

if TYPE_CHECKING:
    from loadtests.fleet.replica import Replica
    from loadtests.fleet.triton.server import TritonServer

_BOUND = 32
"""Messages that wait before the scripts are held."""


class StreamTurn(Turn):
    """One request of a stream."""

    __slots__ = ("answer", "empty_final", "expiry", "id", "messages", "stopped", "stream")

    def __init__(self, stream: Stream, replica: Replica, call: Call, settings: Settings) -> None:
        super().__init__(replica, call, settings)
        self.stream = stream
        self.answer: Answer
        self.messages: Messages
        self.id = ""
        self.empty_final = False
        self.stopped = False  # by a request with `stop` under the same id
        self.expiry: asyncio.TimerHandle | None = None  # while it waits for a slot

    @property
    def congested(self) -> bool:
        return self.stream.congested

    def script(self) -> Script:
        if self.expiry is not None:
            self.expiry.cancel()
        return scripts.script(self)

    def write(self, data: bytes) -> None:
        self.stream.write(data)

    def tell(self, begin: int, end: int, *, final: bool = False) -> None:
        """Tokens number `begin` up to `end` are there."""
        responses = list(self.answer.outputs(begin, end))
        for at, outputs in enumerate(responses, 1):
            self.write(self.messages.response(outputs, final=final and at == len(responses)))
        self.produced((end - begin) * self.answer.plan.choices)

    def final(self) -> None:
        """Nothing more comes for this request; said only if the request asked for it."""
        if self.empty_final:
            self.write(self.messages.empty_final())

    @property
    def flagged(self) -> bool:
        """Whether the last token's response is the final one, instead of an empty one after it."""
        how, lacks_end = self.settings.final, self.settings.fault == "no_final"
        return not lacks_end and (how == "flagged" or (how == "own" and self.stream.server.contract.name == "ensemble"))

    def fail(self, text: str) -> None:
        """An error, and the final: an ensemble says both in one response."""
        ensemble = self.stream.server.contract.name == "ensemble"
        self.write(self.messages.error(text, final=ensemble))
        if not ensemble:
            self.final()

    def refuse(self, text: str) -> None:
        """Without having been served."""
        self.write(self.messages.error(f"[request id: {self.id or '<id_unknown>'}] {text}"))
        self.drop("fault")

    def stop(self) -> Outcome:
        """As each backend ends a request that another one stopped."""
        if self.stream.server.contract.name == "llmapi":
            self.fail(STOPPED)
        else:
            self.final()
        return "cancelled"

    def leave(self) -> None:
        """The client is gone: a direct model notices when it looks next, the steps of an ensemble never do."""
        self.call.left = time.monotonic()
        if self.stream.server.contract.name == "ensemble":
            self.resume()
        else:
            self.drop("cancelled")

    def ended(self, outcome: Outcome) -> None:
        if self.expiry is not None:
            self.expiry.cancel()
        self.stream.server.leave(self)
        self.stream.done(self)


STOPPED = "Request cancelled by client"


class Stream:
    """Turns write to it at any time; one coroutine takes it to gRPC."""

    def __init__(self, server: TritonServer, context: Any) -> None:
        self.server = server
        self.context = context
        self.turns: set[StreamTurn] = set()
        self.congested = False
        self._out: deque[bytes] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._over = False  # nothing more will be written
        self._asked = False  # the client has ended its side
        self._gone = False
        self._status: tuple[int, str] | None = None

    def __repr__(self) -> str:
        return f"<Stream {len(self.turns)} requests, {len(self._out)} messages wait>"

    async def serve(self, requests: AsyncIterator[bytes]) -> None:
        """Until the client has ended its side and all is answered, or left."""
        reading = asyncio.get_running_loop().create_task(self._read(requests))
        try:
            while True:
                await self._drain()
                if self._over or (self._asked and not self.turns):
                    break
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
            if self._status:
                await self.context.abort(*self._status)
        finally:
            self._gone = True
            self._out.clear()
            self.congested = False
            reading.cancel()
            if self.turns:
                self.server.cancelled()
            for turn in tuple(self.turns):
                turn.leave()

    def write(self, data: bytes) -> None:
        if self._gone:
            return
        self._out.append(data)
        self.congested = len(self._out) >= _BOUND
        self._go_on()

    def done(self, turn: StreamTurn) -> None:
        self.turns.discard(turn)
        self._go_on()

    def end(self) -> None:
        """Trailers, whatever else was to come."""
        self._over = True
        self._go_on()

    def abort(self, code: int, text: str) -> None:
        """Trailers with another status than OK."""
        self._status = code, text
        self.end()

    def reset(self) -> None:
        """Break the connection that it came on."""
        if relay := self.server.relay(self.context.peer()):
            relay.abandon()

    def stop_reading(self) -> None:
        if relay := self.server.relay(self.context.peer()):
            relay.stop_reading()

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            self.server.begin(self, data)
        self._asked = True
        self._go_on()

    async def _drain(self) -> None:
        while self._out:
            await self.context.write(self._out.popleft())
            if self.congested and len(self._out) < _BOUND // 2:
                self.congested = False
                for turn in tuple(self.turns):
                    turn.resume()

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

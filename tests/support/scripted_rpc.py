"""A gRPC channel without a network: calls that answer, end and stay silent as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from engines.grpc.api import Code, Metadata, RpcError


class ScriptedRpc:
    """Gives `messages`, then ends with `end` (OK: None); a `silent` one waits for `tell` or a cancellation."""

    def __init__(self, messages: Iterable[bytes] = (), end: RpcError | None = None, *, silent: bool = False) -> None:
        self._messages = list(messages)
        self._end = end
        self._open = silent
        self._changed = asyncio.Event()
        self.cancelled = 0  # times that it was cancelled while it had not ended

    def __repr__(self) -> str:
        return f"<ScriptedRpc {len(self._messages)} messages to give, cancelled {self.cancelled} times>"

    def tell(self, *messages: bytes, end: bool = False) -> None:
        """What the server sends next."""
        self._messages += messages
        self._open = self._open and not end
        self._changed.set()

    async def read(self) -> bytes | None:
        if not await self._more():
            if self._end is not None:
                raise self._end
            return None
        return self._messages.pop(0)

    async def flow(self, into: Callable[[bytes], bool]) -> None:
        while await self._more():
            if not into(self._messages.pop(0)):
                return

    def cancel(self) -> None:
        if self._open or self._messages:
            self.cancelled += 1
            self._messages.clear()
            self._end = RpcError(Code.CANCELLED, "cancelled by us")
            self._open = False
            self._changed.set()

    async def _more(self) -> bool:
        while not self._messages and self._open:
            self._changed.clear()
            await self._changed.wait()
        return bool(self._messages)


class ScriptedChannel:
    """Hands out the calls it was given, in order; `sent` are the messages that opened them."""

    def __init__(self, *rpcs: ScriptedRpc) -> None:
        self._rpcs = list(rpcs)
        self.sent: list[tuple[str, bytes, float | None]] = []

    def open(self, method: str, message: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> Any:
        self.sent.append((method, message, timeout))
        return self._rpcs.pop(0)

    async def aclose(self) -> None:
        for rpc in self._rpcs:
            rpc.cancel()

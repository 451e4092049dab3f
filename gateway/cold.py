"""What uvicorn's own request cycle gets instead of the transport: it may write, but the front door closes."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class ColdExit(asyncio.Transport):
    """uvicorn closes at once behind a last answer; the front door first lets the client read it."""

    def __init__(self, cycle: RequestResponseCycle, transport: asyncio.Transport) -> None:
        super().__init__()
        self._cycle = cycle
        self._transport = transport

    def __repr__(self) -> str:
        return f"<ColdExit of {self._transport!r}>"

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        """After a whole answer the door does it (`on_response_complete`); else the client must see that it is cut."""
        if not self._cycle.response_complete:
            self._transport.abort()

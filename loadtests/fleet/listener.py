"""A listening socket that can refuse connections, or leave them unanswered, and come back on the same port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from loadtests.fleet.accepted import Accepted
from loadtests.fleet.settings import Mode


class Listener:
    """Accepts connections on 127.0.0.1. Belongs to one loop; every method is called on it.

    A missing SYN-ACK cannot be had on loopback without root; a listener that never accepts and whose backlog is full
    gives the client the same: its SYN is dropped, and connecting takes for ever.
    """

    def __init__(self, accepted: Callable[[Listener], Accepted], port: int = 0) -> None:
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._fillers: list[socket.socket] = []
        self._arrivals: set[asyncio.Task[None]] = set()
        self._drops = 0
        self.connections: set[Accepted] = set()
        self.mode: Mode = "refused"
        self._socket = self._bound(port)
        self.port: int = self._socket.getsockname()[1]

    def __repr__(self) -> str:
        return f"<Listener 127.0.0.1:{self.port} {self.mode}, {len(self.connections)} connections>"

    def listen(self, mode: Mode) -> None:
        """Connections from now on: accepted, refused (RST), or left without an answer. Present ones stay."""
        if mode == self.mode:
            return
        if self.mode != "refused":  # a listening socket cannot stop listening: close it, and keep the port bound
            self._stop()
            self._socket = self._bound(self.port)
        if mode == "open":
            self._socket.listen(4096)
            self._loop.add_reader(self._socket, self._accept)
        elif mode == "backlog_full":
            self._socket.listen(0)
            self._fillers = [self._filler() for _ in range(8)]
        self.mode = mode

    def drop(self) -> None:
        """Reset all present connections."""
        self._drops += 1
        for connection in tuple(self.connections):
            connection.abandon()

    async def aclose(self) -> None:
        self._stop()
        self.mode = "refused"
        await asyncio.gather(*self._arrivals, return_exceptions=True)
        self.drop()
        while self.connections:  # noqa: ASYNC110 -- each is gone after the loop's next round
            await asyncio.sleep(0)

    def _stop(self) -> None:
        if self.mode == "open":
            self._loop.remove_reader(self._socket)
        for filler in self._fillers:
            filler.close()
        self._fillers = []
        self._socket.close()

    @staticmethod
    def _bound(port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(0)
        sock.bind(("127.0.0.1", port))
        return sock

    def _filler(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(0)
        sock.connect_ex(("127.0.0.1", self.port))
        return sock

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._welcome(sock, self._drops))
            self._arrivals.add(task)
            task.add_done_callback(self._arrivals.discard)

    async def _welcome(self, sock: socket.socket, drops: int) -> None:
        _, connection = await self._loop.connect_accepted_socket(lambda: self._accepted(self), sock)
        if drops != self._drops:  # dropped while it came in
            connection.abandon()

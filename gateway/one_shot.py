"""A server on a thread of its own: one bounded request and one answer per connection, and no way to hold it up.

Under a busy main thread each system call here costs a wait for the interpreter lock of up to 5 ms
(`sys.getswitchinterval`). One thread, one selector and as few calls per answer as possible is therefore what keeps
answers fast: a thread per connection with buffered files, as in http.server, makes three times as many.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from typing import Final

CONNECTIONS: Final = 16
"""Most connections that wait for something; a new one then takes the place of the oldest."""
PATIENCE: Final = 5.0
"""Seconds from accept to close, whatever the other side does."""

_logger = logging.getLogger("snowshed")


@dataclass(slots=True, frozen=True)
class Last:
    """The bytes of an answer; `drain` if the client may still be sending, and a close at once would cost it them."""

    data: bytes
    drain: bool = False


Respond = Callable[[bytes], Last | None]
"""From all bytes received so far to the answer, or None while more have to come; it bounds how many do."""


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    deadline: float
    received: bytearray = field(default_factory=bytearray)
    unsent: bytes = b""
    answered: bool = False
    drain: bool = False

    def advance(self, respond: Respond) -> bool:
        """Do what can be done without waiting; whether the connection is finished. Raises OSError if it is broken.

        MSG_DONTWAIT rather than a non-blocking socket: one system call less.
        """
        try:
            if not self.answered and not self._read(respond):
                return True
            if self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent, socket.MSG_DONTWAIT) :]
                if not self.unsent and self.drain:
                    self.socket.shutdown(socket.SHUT_WR)
            if self.answered and not self.unsent and self.drain:
                return not self.socket.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return self.answered and not self.unsent

    def _read(self, respond: Respond) -> bool:
        data = self.socket.recv(65536, socket.MSG_DONTWAIT)
        self.received += data
        if data and (last := respond(bytes(self.received))):
            self.answered, self.unsent, self.drain = True, last.data, last.drain
            self.received.clear()
        return bool(data)


class OneShotServer:
    """Serves from `start` to `close`; `respond` runs on its thread. No connection lasts longer than `patience`."""

    def __init__(self, host: str, port: int, respond: Respond, patience: float = PATIENCE) -> None:
        self._host = host
        self.port = port
        self._respond = respond
        self._patience = patience
        self._waiting: dict[int, _Connection] = {}  # by descriptor, in the order of their deadlines
        self._thread: Thread | None = None

    def __repr__(self) -> str:
        state = "serving" if self._thread else "not serving"
        return f"<OneShotServer {self._host}:{self.port}, {state}, {len(self._waiting)} connections waiting>"

    def start(self) -> None:
        """Bind and serve; a port of 0 becomes the one that was found. Raises OSError if the address can't be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, self.port), family=family, backlog=128)
        self._listener.settimeout(0)
        self.port = self._listener.getsockname()[1]
        self._stop, self._stopped = socket.socketpair()
        self._thread = Thread(target=self._run, name=f"port-{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, at once."""
        if self._thread:
            self._stop.close()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        with self._listener, self._stopped, selectors.DefaultSelector() as self._selector:
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._selector.register(self._stopped, selectors.EVENT_READ)
            while self._turn():
                pass
            for connection in tuple(self._waiting.values()):
                self._drop(connection)

    def _turn(self) -> bool:
        """One round of the loop; whether there is to be another."""
        oldest = next(iter(self._waiting.values()), None)
        timeout = None if oldest is None else max(oldest.deadline - time.monotonic(), 0.0)
        ready = [key.fd for key, _ in self._selector.select(timeout)]
        if self._stopped.fileno() in ready:
            return False
        for descriptor in ready:
            if descriptor == self._listener.fileno():
                self._accept()
            elif descriptor in self._waiting:
                self._advance(self._waiting[descriptor])
        now = time.monotonic()
        for connection in [late for late in self._waiting.values() if late.deadline <= now]:
            self._drop(connection)
        return True

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except BlockingIOError:  # gone again
            return
        except OSError:  # no descriptor left, most likely, and the next round finds the same: do not spin
            time.sleep(0.05)
            return
        self._advance(_Connection(accepted, time.monotonic() + self._patience))

    def _advance(self, connection: _Connection) -> None:
        try:
            if not connection.advance(self._respond):
                self._wait(connection)
                return
        except OSError:
            pass  # the other side left
        except Exception:
            _logger.exception("ops connection broke", extra={"port": self.port})
        self._drop(connection)

    def _wait(self, connection: _Connection) -> None:
        descriptor = connection.socket.fileno()
        event = selectors.EVENT_WRITE if connection.unsent else selectors.EVENT_READ
        if descriptor in self._waiting:
            self._selector.modify(descriptor, event)
            return
        if len(self._waiting) >= CONNECTIONS:
            self._drop(next(iter(self._waiting.values())))
        self._waiting[descriptor] = connection
        self._selector.register(descriptor, event)

    def _drop(self, connection: _Connection) -> None:
        if self._waiting.pop(connection.socket.fileno(), None):
            self._selector.unregister(connection.socket)
        connection.socket.close()

"""What an engine needs of gRPC: open a call with one message, read the answers as bytes, let go at any time.

Two transports fulfil it: `grpc.aio` and our own. Messages are the bytes between the framing; what they mean, and
whether the server liked the request, is for the engine to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol


class Code(IntEnum):
    """The status codes of gRPC; a number that is not among them counts as UNKNOWN."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that ended with another status than OK. `details` are the server's words: not for clients.

    UNAVAILABLE also stands for a connection that could not be made or broke, and a stream that the server never
    touched; INTERNAL for a server that breaks the protocol; RESOURCE_EXHAUSTED for a message over the size limit.
    """

    def __init__(self, code: Code, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


class Rpc(Protocol):
    """One call under way, read by one coroutine. Who stops before its end must cancel it: dropping it is not enough.

    While nobody reads, at most a window's worth of messages is held and the server has to wait.
    """

    async def read(self) -> bytes | None:
        """The next message; None once the call has ended with OK. Raises RpcError, at every further read too."""

    async def flow(self, into: Callable[[bytes], bool]) -> None:
        """Messages go straight to `into`, as they come, until it returns False or the call ends: `read` tells which."""

    def cancel(self) -> None:
        """Never waits; the server is told at once. Reading then raises RpcError with CANCELLED, and nothing else: a
        cancelled call is not a cancelled task. Does nothing to a call whose end has been read.
        """


Metadata = Sequence[tuple[str, str]]


class Channel(Protocol):
    """Long-lived connections to one server, made when they are needed and again after they broke."""

    def open(self, method: str, message: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> Rpc:
        """Send one message and end the request side. `method` is `/package.Service/Method`; `timeout`, in seconds, is
        also told to the server. Never waits and never raises: what goes wrong, reading tells.
        """

    async def aclose(self) -> None:
        """Closes every connection; open calls end with UNAVAILABLE."""

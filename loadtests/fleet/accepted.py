"""What a listener asks of each connection that it accepted."""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import abstractmethod

_ABORTIVE = struct.pack("ii", 1, 0)


class Accepted(asyncio.Protocol):
    """A client connection. It enters the listener's `connections` when it is made, and leaves when it is lost."""

    @abstractmethod
    def abandon(self) -> None:
        """Reset, in the midst of an answer if there is one."""

    @abstractmethod
    def waiting(self) -> int:
        """Bytes written that the client's socket has not taken."""


def reset(transport: asyncio.Transport) -> None:
    """Close with RST, at once."""
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTIVE)
    transport.abort()

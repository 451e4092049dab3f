"""How much of what was written the client has still to take: tells one that reads slowly from one that does not."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from contextlib import suppress


def backlog(transport: asyncio.WriteTransport) -> int:
    """Bytes in our buffer and, where the system says so, in the kernel's: that one is emptied in large steps only."""
    size = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    with suppress(OSError, ValueError):  # closed meanwhile, or a system that does not tell
        size += struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
    return size

"""The frames of HTTP/2 (RFC 9113): their numbers, and those that we send as bytes."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

HEAD = Struct(">HBBBI")
"""A frame's first 9 bytes: the length in two pieces (16 and 8 bits), kind, flags, stream."""
HEAD_SIZE = 9
WORD = Struct(">I")
SETTING = Struct(">HI")

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)

MAX_WINDOW = MAX_STREAM = 2**31 - 1
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
"""Bytes of payload: what a peer takes until it says otherwise, and what we take, always."""

STREAM_WINDOW = 128 * 1024
"""Bytes of one call's messages that a server may send before its reader takes some."""
CONNECTION_WINDOW = 2**27
MAX_HEADERS = 64 * 1024
"""Bytes of one header list: servers put tracebacks into their status messages."""
MAX_BLOCK = 4 * MAX_HEADERS
"""Bytes of one header block: a list that is only somewhat too long ends its call alone."""


class ErrorCode(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Violation(Exception):
    """What the server sent can't be answered but by closing the connection; `words` are for our logs."""

    def __init__(self, code: ErrorCode, words: str) -> None:
        super().__init__(f"{code.name}: {words}")
        self.code = code
        self.words = words


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def data_head(size: int, flags: int, stream: int) -> bytes:
    """What precedes `size` bytes of a message's data."""
    return HEAD.pack(size >> 8, size & 0xFF, DATA, flags, stream)


def reset(stream: int, code: ErrorCode) -> bytes:
    return frame(RST_STREAM, 0, stream, WORD.pack(code))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, WORD.pack(increment))


def goaway(code: ErrorCode) -> bytes:
    """The server opens no streams, so the last of its streams that we saw is always 0."""
    return frame(GOAWAY, 0, 0, WORD.pack(0) + WORD.pack(code))


def settings(**values: int) -> bytes:
    """A SETTINGS frame; the names are those above, in small letters."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(globals()[name.upper()], v) for name, v in values.items()))


SETTINGS_ACK = frame(SETTINGS, ACK, 0)
OPENING = b"".join((
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # Without a table, a header block means the same whenever it comes: its meaning can be remembered.
    settings(
        header_table_size=0, enable_push=0, initial_window_size=STREAM_WINDOW, max_header_list_size=MAX_HEADERS
    ),
    window_update(0, CONNECTION_WINDOW - DEFAULT_WINDOW),
))  # fmt: skip
"""The first bytes on a connection."""


def unpadded(payload: bytes, flags: int) -> tuple[int, int]:
    """Where the content of a DATA or HEADERS frame begins and ends. Raises Violation."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise Violation(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without the length of its padding")
        start, end = 1, end - payload[0]
    if end < start:
        raise Violation(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return start, end

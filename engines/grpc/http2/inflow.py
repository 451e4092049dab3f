"""What a server sends, taken apart: whole frames, checked for form and order, each handed to what it is about."""

from __future__ import annotations

from typing import Protocol

from engines.grpc.http2 import frames
from engines.grpc.http2.flood import Flood
from engines.grpc.http2.frames import (
    ACK,
    CONNECTION_WINDOW,
    DATA,
    DEFAULT_FRAME,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_SIZE,
    MAX_BLOCK,
    MAX_STREAM,
    ErrorCode,
    Violation,
)
from engines.grpc.http2.response import Head, Heads
from engines.grpc.http2.stream import Stream

REFILL_AT = CONNECTION_WINDOW // 4


class Meaning(Protocol):
    """Who knows what frames mean: the connection. All may raise Violation."""

    streams: dict[int, Stream]

    @property
    def state(self) -> str: ...
    def write(self, data: bytes) -> None: ...
    def data(self, ident: int, payload: bytes, span: tuple[int, int], *, ended: bool) -> None: ...
    def opened(self, ident: int) -> Stream | None: ...
    def headers(self, stream: Stream, head: Head, *, ended: bool) -> None: ...
    def reset(self, ident: int, code: int) -> None: ...
    def settings(self, payload: bytes) -> None: ...
    def goaway(self, last: int, code: int, words: bytes) -> None: ...
    def widen(self, ident: int, increment: int) -> None: ...


class Inflow:
    """Reads frames where they lie in what was received, so that a message is copied once."""

    def __init__(self, meaning: Meaning, heads: Heads, flood: Flood) -> None:
        self._meaning = meaning
        self._streams = meaning.streams
        self._heads = heads
        self._flood = flood
        self._rest = b""  # the beginning of a frame
        self._taken = 0  # bytes of data since the connection's window was last refilled
        self._block: bytearray | None = None  # a header block that goes on in the next frame
        self._block_of = (0, 0)  # its stream and flags
        self._parts = (
            self._data, self._headers, self._priority, self._reset, self._settings, self._push_promise, self._ping,
            self._goaway, self._window_update, self._continuation,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Inflow {len(self._rest)} B of a frame{', within a header block' if self._block is not None else ''}>"

    def feed(self, data: bytes) -> None:
        """Raises Violation."""
        if self._rest:
            data = self._rest + data
        at, size, streams, meaning = 0, len(data), self._streams, self._meaning
        while size - at >= HEAD_SIZE:
            high, low, kind, flags, ident = HEAD.unpack_from(data, at)
            length = high << 8 | low
            if length > DEFAULT_FRAME:
                raise Violation(ErrorCode.FRAME_SIZE_ERROR, "a frame that is too large, or not HTTP/2 at all")
            start = at + HEAD_SIZE
            end = start + length
            if end > size:
                break
            at = end
            if kind == DATA and not flags and length and ident in streams and self._block is None:
                stream = streams[ident]
                if stream.began:  # what nearly every frame is
                    self._taken += length
                    stream.receive(data, start, end)
                    continue
            self._frame(kind, flags, ident & MAX_STREAM, data[start:end])
            if meaning.state == "closed":
                return
        self._rest = data[at:]
        if self._taken >= REFILL_AT:
            meaning.write(frames.window_update(0, self._taken))
            self._taken = 0

    def _frame(self, kind: int, flags: int, ident: int, payload: bytes) -> None:
        if self._meaning.state == "opening" and (kind != frames.SETTINGS or flags & ACK):
            raise Violation(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if self._block is not None and (kind != frames.CONTINUATION or ident != self._block_of[0]):
            raise Violation(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if kind > frames.HEADERS or not payload or ident not in self._streams:
            self._flood.count()
        if kind < len(self._parts):  # what we don't know has to be ignored
            self._parts[kind](flags, ident, payload)

    def _data(self, flags: int, ident: int, payload: bytes) -> None:
        self._taken += len(payload)
        span = frames.unpadded(payload, flags)
        self._meaning.data(ident, payload, span, ended=bool(flags & END_STREAM))

    def _headers(self, flags: int, ident: int, payload: bytes) -> None:
        start, end = frames.unpadded(payload, flags)
        if flags & frames.PRIORITISED:
            start += 5
            if start > end:
                raise Violation(ErrorCode.FRAME_SIZE_ERROR, "a cut priority")
        if flags & END_HEADERS:
            self._read_block(ident, flags, payload[start:end])
        else:
            self._block_of = ident, flags
            self._block = bytearray(payload[start:end])

    def _continuation(self, flags: int, ident: int, payload: bytes) -> None:
        if self._block is None:
            raise Violation(ErrorCode.PROTOCOL_ERROR, "nothing to continue")
        self._block += payload
        if len(self._block) > MAX_BLOCK:
            raise Violation(ErrorCode.ENHANCE_YOUR_CALM, "too long a header block")
        if flags & END_HEADERS:
            block, self._block = bytes(self._block), None
            self._read_block(*self._block_of, block)

    def _read_block(self, ident: int, flags: int, block: bytes) -> None:
        """A block is read even if nobody waits for it: one that can't be read breaks the connection."""
        stream = self._meaning.opened(ident)
        head = self._heads.read(block)
        if stream is not None:
            self._meaning.headers(stream, head, ended=bool(flags & END_STREAM))

    def _priority(self, flags: int, ident: int, payload: bytes) -> None:
        """Means nothing any more."""

    def _reset(self, flags: int, ident: int, payload: bytes) -> None:
        self._meaning.reset(ident, _word(payload, 4))

    def _settings(self, flags: int, ident: int, payload: bytes) -> None:
        _whole_connection(ident)
        if not flags & ACK:
            self._meaning.settings(payload)
        elif payload:
            raise Violation(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement that says more")

    def _push_promise(self, flags: int, ident: int, payload: bytes) -> None:
        raise Violation(ErrorCode.PROTOCOL_ERROR, "a push that was not allowed")

    def _ping(self, flags: int, ident: int, payload: bytes) -> None:
        _whole_connection(ident)
        _word(payload, 8)
        if not flags & ACK:
            self._meaning.write(frames.frame(frames.PING, ACK, 0, payload))

    def _goaway(self, flags: int, ident: int, payload: bytes) -> None:
        _whole_connection(ident)
        last = _word(payload[:8], 8) & MAX_STREAM
        self._meaning.goaway(last, _word(payload[4:8], 4), payload[8:])

    def _window_update(self, flags: int, ident: int, payload: bytes) -> None:
        self._meaning.widen(ident, _word(payload, 4) & MAX_STREAM)


def _word(payload: bytes, size: int) -> int:
    """The first number of a payload that has to be of this size. Raises Violation."""
    if len(payload) != size:
        raise Violation(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {len(payload)} bytes that has to have {size}")
    return int.from_bytes(payload[:4], "big")


def _whole_connection(ident: int) -> None:
    if ident:
        raise Violation(ErrorCode.PROTOCOL_ERROR, "a stream's frame that is about the connection")

"""Requests on their way out, as fast as the server's windows and the socket take them."""

from __future__ import annotations

from collections.abc import Callable

from engines.grpc.http2 import frames
from engines.grpc.http2.frames import END_HEADERS, END_STREAM, MAX_WINDOW, ErrorCode, Violation
from engines.grpc.http2.stream import PREFIX
from engines.grpc.http2.terms import Terms


class Upload:
    """The rest of a request that did not fit, and how much of it the server takes on its stream."""

    __slots__ = ("rest", "window")

    def __init__(self, rest: memoryview, window: int) -> None:
        self.rest = rest
        self.window = window


class Outflow:
    """Writes each request at once if it fits, else piece by piece, in turns with the others that wait."""

    def __init__(self, terms: Terms, write: Callable[[bytes], None]) -> None:
        self._terms = terms
        self._write = write
        self._window = frames.DEFAULT_WINDOW  # of the connection
        self._uploads: dict[int, Upload] = {}
        self.paused = False  # whether the socket takes no more for now

    def __repr__(self) -> str:
        paused = ", paused" if self.paused else ""
        return f"<Outflow {len(self._uploads)} waiting, window {self._window}{paused}>"

    def send(self, ident: int, block: bytes, message: bytes) -> None:
        """A whole request: its header block, its one message, its end."""
        prefix = PREFIX.pack(0, len(message))
        size = len(prefix) + len(message)
        head = self._headers(ident, block)
        if size <= self._window and size <= self._terms.window and size <= self._terms.max_frame:
            self._window -= size
            self._write(b"".join((head, frames.data_head(size, END_STREAM, ident), prefix, message)))
            return
        self._write(head)
        self._uploads[ident] = Upload(memoryview(prefix + message), self._terms.window)
        self.pump()

    def stop(self, ident: int) -> bool:
        """Send no more of a request; False if it was sent whole."""
        return self._uploads.pop(ident, None) is not None

    def widen(self, increment: int) -> None:
        """The server takes so many bytes more on the connection. Raises Violation."""
        self._window += increment
        if not increment:
            raise Violation(ErrorCode.PROTOCOL_ERROR, "a window update of nothing")
        if self._window > MAX_WINDOW:
            raise Violation(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is too large")
        self.pump()

    def widen_stream(self, ident: int, increment: int) -> ErrorCode | None:
        """The same for one stream, which may have been sent whole; what is wrong with it concerns the stream only."""
        if not increment:
            return ErrorCode.PROTOCOL_ERROR
        upload = self._uploads.get(ident)
        if upload is not None:
            upload.window += increment
            if upload.window > MAX_WINDOW:
                return ErrorCode.FLOW_CONTROL_ERROR
            self.pump()
        return None

    def terms_changed(self, before: int) -> None:
        """The server changed its terms; streams had a window of `before` until now. Raises Violation."""
        for upload in self._uploads.values():
            upload.window += self._terms.window - before  # may well be negative then
            if upload.window > MAX_WINDOW:
                raise Violation(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window is too large")
        self.pump()

    def pump(self) -> None:
        """Write what may be written: a frame of each request in turn."""
        moved = True
        while moved:
            moved = False
            for ident, upload in list(self._uploads.items()):
                if self._window <= 0 or self.paused:
                    return
                moved = self._piece(ident, upload) or moved

    def _piece(self, ident: int, upload: Upload) -> bool:
        size = min(self._window, upload.window, self._terms.max_frame, len(upload.rest))
        if size <= 0:
            return False
        last = size == len(upload.rest)
        head = frames.data_head(size, END_STREAM if last else 0, ident)
        self._window -= size
        upload.window -= size
        piece, upload.rest = upload.rest[:size], upload.rest[size:]
        if last:
            del self._uploads[ident]
        self._write(b"".join((head, piece)))
        return True

    def _headers(self, ident: int, block: bytes) -> bytes:
        limit = self._terms.max_frame
        if len(block) <= limit:
            return frames.frame(frames.HEADERS, END_HEADERS, ident, block)
        pieces = [block[at : at + limit] for at in range(0, len(block), limit)]
        kinds = [frames.HEADERS] + [frames.CONTINUATION] * (len(pieces) - 1)
        flags = [0] * (len(pieces) - 1) + [END_HEADERS]
        return b"".join(
            frames.frame(kind, flag, ident, piece) for kind, flag, piece in zip(kinds, flags, pieces, strict=True)
        )

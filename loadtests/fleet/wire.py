"""HTTP/1.1 as a replica writes it: response heads, chunks, and how a stream's body is framed."""

from __future__ import annotations

import zlib
from http import HTTPStatus

from loadtests.fleet.answers import error
from loadtests.fleet.settings import Chunking, Fault

LAST = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def json_head(length: int) -> bytes:
    """Head of a 200 with a JSON body of `length` bytes."""
    return _JSON % length


def head(status: int, content_type: bytes, *fields: bytes) -> bytes:
    """A response head; `fields` are whole header lines without their line end."""
    reason = HTTPStatus(status).phrase.encode() if status in HTTPStatus._value2member_map_ else b"Unknown"
    lines = (b"HTTP/1.1 %d %b" % (status, reason), b"content-type: " + content_type, *fields)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def response(status: int, body: bytes, *fields: bytes) -> bytes:
    """A whole JSON response."""
    return head(status, b"application/json", b"content-length: %d" % len(body), *fields) + body


_ERRORS: dict[int, tuple[str, str, str | None, str | None]] = {
    400: (
        "This model's maximum context length is 8192 tokens.",
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    ),
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key", None),
    404: ("The model does not exist.", "invalid_request_error", "model_not_found", "model"),
    413: ("Request too large.", "invalid_request_error", "request_too_large", None),
    422: ("Unprocessable request.", "invalid_request_error", None, None),
    429: ("Rate limit reached.", "rate_limit_error", "rate_limit_exceeded", None),
    503: ("The server is overloaded.", "server_error", "overloaded", None),
}


def refusal(status: int, *fields: bytes) -> bytes:
    """The response of a server that answers `status`, with OpenAI's error body."""
    unknown = ("The server had an error.", "server_error", None, None)
    return response(status, error(*_ERRORS.get(status, unknown)), *fields)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Framing:
    """How the events of one stream become bytes: chunked, of a (wrong) length, or up to the close; gzipped or not."""

    __slots__ = ("_chunked", "_crlf", "_gzip", "head")

    def __init__(self, fault: Fault, chunking: Chunking, *fields: bytes) -> None:
        self._crlf = chunking == "crlf"
        self._gzip = zlib.compressobj(wbits=31) if fault == "gzip" else None
        self._chunked = fault not in {"wrong_length", "eof_delimited"}
        lines = [b"cache-control: no-cache", *fields]
        if self._chunked:
            lines.append(b"transfer-encoding: chunked")
        elif fault == "wrong_length":
            lines.append(b"content-length: 10000000")
        else:
            lines.append(b"connection: close")
        if self._gzip:
            lines.append(b"content-encoding: gzip")
        self.head = head(200, b"text/event-stream; charset=utf-8", *lines)
        if fault == "continue_100":
            self.head = CONTINUE + self.head

    def frame(self, data: bytes) -> bytes:
        """Whole or partial events, ready for the wire."""
        if self._crlf:
            data = data.replace(b"\n", b"\r\n")
        if self._gzip:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        return chunk(data) if self._chunked else data

    def end(self) -> bytes:
        """What ends the body."""
        tail = chunk(self._gzip.flush()) if self._gzip else b""
        return tail + LAST if self._chunked else b""

"""As much HTTP as a probe and a scraper speak: one bounded request without a body, one answer, then the end."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

import msgspec

HEAD_BOUND: Final = 8192
"""Most bytes of a request line and headers; a longer one is refused."""


@dataclass(slots=True, frozen=True)
class Request:
    """What is read of a request: the method and the path without its query."""

    method: str
    path: str


@dataclass(slots=True, frozen=True)
class Answer:
    """One answer; `headers` are whole lines, without their line ends."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    headers: tuple[str, ...] = ()

    def encode(self, *, head_only: bool = False) -> bytes:
        lines = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Date: {formatdate(usegmt=True)}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            "Connection: close",
            *self.headers,
        )
        return "\r\n".join((*lines, "", "")).encode("ascii") + (b"" if head_only else self.body)


def success(members: dict[str, Any]) -> Answer:
    """A success as a JSON object."""
    return Answer(HTTPStatus.OK, msgspec.json.encode(members) + b"\n")


def failure(status: HTTPStatus, code: str, message: str, *, headers: tuple[str, ...] = (), **members: Any) -> Answer:
    """Anything else: OpenAI's error envelope, with further `members` beside `error`."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Answer(status, msgspec.json.encode({**members, "error": error}) + b"\n", headers=headers)


def parse(received: bytes | bytearray) -> Request | Answer | None:
    """The request once its head is whole, an answer if there must not be one, None while more has to come."""
    end = received.find(b"\r\n\r\n", 0, HEAD_BOUND)
    if end < 0:
        if len(received) < HEAD_BOUND:
            return None
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return failure(status, "headers_too_large", f"Request line and headers exceed {HEAD_BOUND} bytes.")
    words = bytes(received[: received.index(b"\r\n")]).split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not words[1].startswith(b"/"):  # noqa: PLR2004 (three)
        return failure(HTTPStatus.BAD_REQUEST, "bad_request", "This is not an HTTP/1.1 request.")
    method, target, _ = words
    if method not in {b"GET", b"HEAD"}:
        message = "Only GET and HEAD are served here."
        return failure(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, headers=("Allow: GET, HEAD",))
    return Request(method.decode("ascii"), target.partition(b"?")[0].decode("latin-1"))

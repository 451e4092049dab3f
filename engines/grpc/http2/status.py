"""How a call ended, in the terms of gRPC, from what HTTP/2 and the server's header blocks say."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from engines.grpc.api import Code
from engines.grpc.http2.frames import ErrorCode


class Ending(NamedTuple):
    """The status of a call that is over."""

    code: Code
    details: str


OK = Ending(Code.OK, "")

_BY_HTTP = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
_BY_RESET: dict[int, Code] = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}


def of_http(status: int) -> Ending:
    """Something in between answered, not the gRPC server."""
    return Ending(_BY_HTTP.get(status, Code.UNKNOWN), f"the server answered with HTTP status {status}")


def of_reset(number: int) -> Ending:
    """The server let go of the stream; only REFUSED_STREAM promises that it did nothing before."""
    name = error_name(number)
    return Ending(_BY_RESET.get(number, Code.INTERNAL), f"the server reset the stream: {name}")


def of_trailers(status: bytes, message: bytes) -> Ending:
    """From `grpc-status` and `grpc-message`. What is not percent-encoded UTF-8 is read as well as it can be."""
    try:
        code = Code(int(status)) if status.isdigit() else Code.UNKNOWN
    except ValueError:
        code = Code.UNKNOWN
    return Ending(code, unquote_to_bytes(message).decode("utf-8", errors="replace"))


def error_name(number: int) -> str:
    try:
        return ErrorCode(number).name
    except ValueError:
        return f"error {number}"

"""The header block of a request, with nothing that a table would have to remember."""

from __future__ import annotations

import math
import re

from engines.grpc.api import Metadata

_METHOD = re.compile(r"/[!-~]+/[!-~]+")
_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")
KEPT_METHODS = 64


class Requests:
    """Writes the header blocks of the requests to one server."""

    def __init__(self, authority: str, *, secure: bool) -> None:
        self._fixed = b"".join((
            b"\x83",  # :method POST
            b"\x87" if secure else b"\x86",  # :scheme
            b"\x01", _text(authority.encode()),
            _literal(b"te", b"trailers"),
            b"\x0f\x10", _text(b"application/grpc"),  # content-type
            b"\x0f\x2b", _text(b"snowshed"),  # user-agent
        ))  # fmt: skip
        self._by_method: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"<Requests {len(self._by_method)} methods>"

    def block(self, method: str, metadata: Metadata) -> bytes:
        """Everything but the time left. Raises ValueError for what can't be written."""
        block = self._by_method.get(method)
        if block is None:
            if not _METHOD.fullmatch(method):
                raise ValueError(f"not a method: {method!r}")
            block = self._fixed + b"\x04" + _text(method.encode())  # :path
            if len(self._by_method) < KEPT_METHODS:
                self._by_method[method] = block
        return block + b"".join(_field(name, value) for name, value in metadata) if metadata else block


def time_left(seconds: float) -> bytes:
    """The `grpc-timeout` field; at most eight digits are allowed."""
    if seconds < 99:
        left = f"{math.ceil(seconds * 1_000_000)}u"
    elif seconds < 99_999:
        left = f"{math.ceil(seconds * 1_000)}m"
    else:
        left = f"{math.ceil(min(seconds, 99_999_999))}S"
    return _TIMEOUT + _text(left.encode())


def _field(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"metadata that can't be sent: {name!r}")
    return _literal(name.encode(), value.encode())


def _literal(name: bytes, value: bytes) -> bytes:
    """A field that nobody on the way may put into a table."""
    return b"\x10" + _text(name) + _text(value)


def _text(value: bytes) -> bytes:
    """A string as it is: without Huffman's code, its length as an integer with a prefix of seven bits before it."""
    size = len(value)
    if size < 127:
        return bytes((size,)) + value
    size -= 127
    out = bytearray((127,))
    while size >= 128:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    return bytes(out) + value


_TIMEOUT = b"\x00" + _text(b"grpc-timeout")

"""What a request's head must be like before the request is one: judged alike for both adapters, nothing guessed.

The parser has refused most of what two servers could read in two ways; this is about what it lets by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from sys import maxsize
from urllib.parse import unquote_to_bytes

import httptools

from gateway import errors
from gateway.edge import Bounds

_ONCE = (b"host", b"content-type", b"content-length", b"transfer-encoding", b"authorization", b"expect", b"x-priority")
_FOREIGN_VERSIONS = ("0.9", "2.0")
"""HTTP/0.9 has no headers, and HTTP/2 no request line ("2" is what an ASGI server of HTTP/2 says)."""


def judge(
    url: bytes, fields: Sequence[tuple[bytes, bytes]], headers: Mapping[bytes, bytes], version: str, bounds: Bounds,
    arrived: int = maxsize,
) -> errors.Problem | None:  # fmt: skip
    """Why this head can't be served, if so. `headers` are the `fields` by name, in lower case, the last one winning.

    The head is no larger than `arrived` bytes, if the caller knows that.
    """
    if len(url) > bounds.url:
        return errors.URL_TOO_LONG
    if len(fields) > bounds.headers or (
        arrived > bounds.head and sum(map(len, chain.from_iterable(fields))) > bounds.head
    ):
        return errors.HEAD_TOO_LARGE
    if len(headers) != len(fields):
        names = [name for name, _ in fields]
        if any(names.count(name) > 1 for name in _ONCE):
            return errors.REPEATED_HEADER
    if version in _FOREIGN_VERSIONS or (b"host" not in headers and version == "1.1"):
        return errors.MALFORMED_HTTP
    if b"transfer-encoding" in headers and (
        version == "1.0"
        or headers[b"transfer-encoding"].strip().lower() != b"chunked"
        or b"content-length" in headers  # a proxy may have gone by that
    ):
        return errors.MALFORMED_HTTP
    return None


def path(target: bytes) -> bytes:
    """The path of a target with a query or percent-encoded parts; b"" if it has none."""
    try:
        return unquote_to_bytes(httptools.parse_url(target).path or b"")
    except httptools.HttpParserInvalidURLError:
        return b""


def origin_form(target: bytes) -> tuple[bytes, bytes | None]:
    """A target without scheme and authority, and the authority, which then counts instead of the Host header."""
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return target, None
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    tail = rest[end:]
    return tail if tail.startswith(b"/") else b"/" + tail, rest[:end]

"""The header block of a request, read back by a decoder that is not ours."""

from __future__ import annotations

import pytest
from hpack import Decoder

from engines.grpc.http2.request import KEPT_METHODS, Requests, time_left


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in Decoder().decode(block, raw=True)]


@pytest.mark.parametrize("secure", [False, True])
def test_everything_that_a_server_has_to_know(secure: bool) -> None:
    pairs = [("x-id", "1"), ("x-id", "2"), ("long", "v" * 20_000), ("127", "v" * 127), ("126", "v" * 126), ("e", "")]
    block = Requests("triton:8001", secure=secure).block("/a.B/c", pairs)
    assert decoded(block) == [
        (b":method", b"POST"),
        (b":scheme", b"https" if secure else b"http"),
        (b":authority", b"triton:8001"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"snowshed"),
        (b":path", b"/a.B/c"),
        *((name.encode(), value.encode()) for name, value in pairs),
    ]


@pytest.mark.parametrize("method", ["", "/", "a/b", "/a", "/a/", "/a/b c", "/a/b\n", "/a/ü"])
def test_what_is_no_method(method: str) -> None:
    with pytest.raises(ValueError, match="not a method"):
        Requests("x", secure=False).block(method, ())


@pytest.mark.parametrize("pair", [("X", "a"), ("", "a"), (":path", "/"), ("x y", "a"), ("x", "a\r\n"), ("x", "ü")])
def test_what_is_no_metadata(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        Requests("x", secure=False).block("/a/b", [pair])


def test_methods_that_are_remembered_are_bounded() -> None:
    requests = Requests("x", secure=False)
    for number in range(2 * KEPT_METHODS):
        assert dict(decoded(requests.block(f"/a/{number}", ())))[b":path"] == b"/a/%d" % number
    assert len(requests._by_method) == KEPT_METHODS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, b"0u"), (1e-9, b"1u"), (0.25, b"250000u"), (98.9, b"98900000u"), (99.5, b"99500m"), (99_998, b"99998000m"),
        (99_999, b"99999S"), (1e7, b"10000000S"), (1e12, b"99999999S"),
    ],
)  # fmt: skip
def test_a_timeout_is_never_told_too_short_nor_in_more_than_eight_digits(seconds: float, text: bytes) -> None:
    assert decoded(time_left(seconds)) == [(b"grpc-timeout", text)]
    assert len(text) <= 9

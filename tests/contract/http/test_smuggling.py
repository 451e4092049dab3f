"""Requests that two servers could read differently are refused, or are provably one request and nothing more."""

from __future__ import annotations

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import RunningGateway
from tests.support.promises import Promises
from tests.support.talk import CHAT, Talk, chat, chunked, chunked_head, request

HIDDEN = request(chat("smuggled"))
"""What an attacker wants to be taken for a request of its own."""
BODY = chat("good")


def framed(*fields: bytes, body: bytes = BODY, version: bytes = b"HTTP/1.1") -> bytes:
    """A chat whose framing is up to `fields`, with the hidden request behind it."""
    return request(None, b"Content-Type: application/json", *fields, version=version) + body + HIDDEN


def length(of: bytes = BODY) -> bytes:
    return b"Content-Length: %d" % len(of)


def lines(*raw: bytes) -> bytes:
    """A good chat with odd lines among its headers."""
    return framed(length(), *raw)


CHUNKED = b"Transfer-Encoding: chunked"
IN_CHUNKS = chunked(BODY)
AMBIGUOUS = {
    "two equal lengths": framed(length(), length()),
    "two lengths": framed(length(), b"Content-Length: 0"),
    "two lengths, the shorter first": framed(b"Content-Length: 0", length()),
    "lengths in a list": framed(b"Content-Length: %d, %d" % (len(BODY), len(BODY))),
    "length with plus": framed(b"Content-Length: +%d" % len(BODY)),
    "length with minus": framed(b"Content-Length: -1"),
    "length in hex": framed(b"Content-Length: 0x%x" % len(BODY)),
    "length with inner space": framed(b"Content-Length: 1 1"),
    "length with a letter": framed(b"Content-Length: 5a"),
    "length with underscore": framed(b"Content-Length: 1_0"),
    "empty length": framed(b"Content-Length: "),
    "huge length": framed(b"Content-Length: 184467440737095516170"),
    "length and chunks": framed(length(), CHUNKED, body=IN_CHUNKS),
    "chunks and length": framed(CHUNKED, length(), body=IN_CHUNKS),
    "chunks and no length": framed(CHUNKED, b"Content-Length: 0", body=IN_CHUNKS),
    "chunks twice": framed(CHUNKED, CHUNKED, body=IN_CHUNKS),
    "chunks twice in one": framed(b"Transfer-Encoding: chunked, chunked", body=IN_CHUNKS),
    "xchunked": framed(b"Transfer-Encoding: xchunked", body=IN_CHUNKS),
    "xchunked and length": framed(length(), b"Transfer-Encoding: xchunked"),
    "identity": framed(b"Transfer-Encoding: identity", body=IN_CHUNKS),
    "identity and length": framed(length(), b"Transfer-Encoding: identity"),
    "chunked, identity": framed(b"Transfer-Encoding: chunked, identity", body=IN_CHUNKS),
    "identity, chunked": framed(b"Transfer-Encoding: identity, chunked", body=IN_CHUNKS),
    "gzip, chunked": framed(b"Transfer-Encoding: gzip, chunked", body=IN_CHUNKS),
    "identity above chunked": framed(b"Transfer-Encoding: identity", CHUNKED, body=IN_CHUNKS),
    "chunked above identity": framed(CHUNKED, b"Transfer-Encoding: identity", body=IN_CHUNKS),
    "chunked with a parameter": framed(b"Transfer-Encoding: chunked;q=1", body=IN_CHUNKS),
    "chunked in quotes": framed(b'Transfer-Encoding: "chunked"', body=IN_CHUNKS),
    "chunked after VT": framed(b"Transfer-Encoding: \x0bchunked", body=IN_CHUNKS),
    "chunked before NUL": framed(b"Transfer-Encoding: chunked\x00", body=IN_CHUNKS),
    "chunked folded": framed(b"Transfer-Encoding:\r\n chunked", body=IN_CHUNKS),
    "empty coding": framed(b"Transfer-Encoding: ", length()),
    "chunks in HTTP/1.0": framed(CHUNKED, b"Connection: keep-alive", body=IN_CHUNKS, version=b"HTTP/1.0"),
    "space before the colon": lines(b"Transfer-Encoding : chunked"),
    "tab before the colon": lines(b"Transfer-Encoding\t: chunked"),
    "space before the name": lines(b" Transfer-Encoding: chunked"),
    "NUL in the name": lines(b"Transfer-Encoding\x00: chunked"),
    "fold": lines(b"X: a\r\n Transfer-Encoding: chunked"),
    "fold with a tab": lines(b"X: a\r\n\tb"),
    "bare LF": lines(b"X: a\nTransfer-Encoding: chunked"),
    "bare CR": lines(b"X: a\rTransfer-Encoding: chunked"),
    "CR CR LF": lines(b"X: a\r"),
    "NUL in a value": lines(b"X: a\x00b"),
    "SOH in a value": lines(b"X: a\x01b"),
    "DEL in a value": lines(b"X: a\x7fb"),
    "no colon": lines(b"Transfer-Encoding chunked"),
    "no name": lines(b": chunked"),
    "name in brackets": lines(b"[x]: y"),
    "two hosts": lines(b"Host: evil.example"),
    "two content types": lines(b"Content-Type: text/plain"),
    "LF alone ends lines": lines().replace(b"\r\n", b"\n"),
    "CR alone ends lines": lines().replace(b"\r\n", b"\r"),
    "chunk size with 0x": framed(CHUNKED, body=b"0x" + IN_CHUNKS),
    "chunk size with plus": framed(CHUNKED, body=b"+" + IN_CHUNKS),
    "chunk size with minus": framed(CHUNKED, body=b"-1\r\n"),
    "chunk size with a space": framed(CHUNKED, body=IN_CHUNKS.replace(b"\r\n", b" \r\n", 1)),
    "chunk size too large": framed(CHUNKED, body=b"f" * 17 + b"\r\n"),
    "no chunk size": framed(CHUNKED, body=b"\r\n"),
    "chunk size ends in LF": framed(CHUNKED, body=IN_CHUNKS.replace(b"\r\n", b"\n", 1)),
    "chunk size ends in CR": framed(CHUNKED, body=IN_CHUNKS.replace(b"\r\n", b"\r", 1)),
    "chunk longer than said": framed(CHUNKED, body=b"1" + IN_CHUNKS[IN_CHUNKS.index(b"\r") :]),
    "chunk without an end": framed(CHUNKED, body=IN_CHUNKS.replace(b"}\r\n0", b"}0")),
    "extension with LF": framed(CHUNKED, body=IN_CHUNKS.replace(b"\r\n", b";a\n\r\n", 1)),
    "extension with NUL": framed(CHUNKED, body=IN_CHUNKS.replace(b"\r\n", b";a\x00\r\n", 1)),
    "extension with a line in quotes": framed(CHUNKED, body=IN_CHUNKS.replace(b"\r\n", b';a="\r\n"\r\n', 1)),
    "length in a trailer": framed(CHUNKED, body=IN_CHUNKS[:-2] + b"Content-Length: 5\r\n\r\n"),
    "odd trailer": framed(CHUNKED, body=IN_CHUNKS[:-2] + b"odd trailer\r\n\r\n"),
    "HTTP/0.9": b"POST %b\r\n\r\n" % CHAT + HIDDEN,
    "HTTP/0.9 in words": request(BODY, version=b"HTTP/0.9") + HIDDEN,
    "HTTP/1.2": request(BODY, version=b"HTTP/1.2") + HIDDEN,
    "HTTP/1.10": request(BODY, version=b"HTTP/1.10") + HIDDEN,
    "HTTP/2.0": request(BODY, version=b"HTTP/2.0") + HIDDEN,
    "http/1.1": request(BODY, version=b"http/1.1") + HIDDEN,
    "no version but a space": request(BODY, version=b"") + HIDDEN,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + HIDDEN,
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + HIDDEN,
    "method in lower case": request(BODY, method=b"post") + HIDDEN,
    "unknown method": request(BODY, method=b"SMUGGLE") + HIDDEN,
    "authority-form": request(None, method=b"CONNECT", target=b"localhost:443") + HIDDEN,
    "authority-form to a path": request(None, method=b"CONNECT", target=CHAT) + HIDDEN,
    "authority-form with POST": request(BODY, target=b"localhost:443") + HIDDEN,
    "space in the target": request(BODY, target=CHAT + b" x") + HIDDEN,
    "NUL in the target": request(BODY, target=CHAT + b"\x00") + HIDDEN,
    "high byte in the target": request(BODY, target=CHAT + b"\xff") + HIDDEN,
    "tab behind the target": request(BODY, target=CHAT + b"\tx") + HIDDEN,
    "space before the line": b" " + request(BODY) + HIDDEN,
    "space behind the version": request(BODY, version=b"HTTP/1.1 ") + HIDDEN,
    "no host": request(BODY, host=None) + HIDDEN,
}

ONE = {
    "chunks": chunked_head() + IN_CHUNKS,
    "chunks with extensions": chunked_head() + IN_CHUNKS.replace(b"\r\n", b';a=b;c="d"\r\n', 1),
    "chunks with a trailer": chunked_head() + IN_CHUNKS[:-2] + b"X-Checksum: 1\r\n\r\n",
    "many small chunks": chunked_head() + chunked(*[BODY[n : n + 1] for n in range(len(BODY))]),
    "chunk size with zeros": chunked_head() + b"0000" + IN_CHUNKS,
    "CHUNKED": chunked_head().replace(b"chunked", b"CHUNKED") + IN_CHUNKS,
    "coding with spaces around": chunked_head().replace(b"chunked", b" \tchunked ") + IN_CHUNKS,
    "underscore instead of dash": request(BODY, b"Transfer_Encoding: chunked"),
    "coding named in connection": chunked_head(b"Connection: Transfer-Encoding") + IN_CHUNKS,
    "length with zeros": request(BODY).replace(b"Content-Length: ", b"Content-Length: 000"),
    "empty lines before": b"\r\n\r\n" + request(BODY),
    "two spaces in the line": request(BODY, method=b"POST "),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_is_ambiguous_is_refused_and_nothing_behind_it_runs(
    talk: Talk, gateway: RunningGateway, upstream: SpawnedReplica, promises: Promises, name: str
) -> None:
    answers, end = talk.send(AMBIGUOUS[name]).ending()
    assert [answer.status for answer in answers] in ([400], [421]), (answers, end)
    assert answers[0].closes
    if promises.refusals_have_envelopes:
        assert answers[0].error["type"] == "invalid_request_error"
        assert answers[0].status == 400
        assert end == "eof"
    gateway.wait_idle()
    assert upstream.calls() == []


@pytest.mark.parametrize("name", ONE)
def test_what_is_unusual_but_clear_is_one_request(talk: Talk, upstream: SpawnedReplica, name: str) -> None:
    assert talk.ask(ONE[name]).status == 200
    assert talk.ask(request(chat("next"))).status == 200, "the connection is where it should be"
    first, second = upstream.calls()
    assert (first.body["messages"][0]["content"], second.body["messages"][0]["content"]) == ("good", "next")
    assert first.header("transfer-encoding") is None

"""Each fault shows on the wire what its name says, on a raw socket against the child process."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import pytest

from tests.support.fleet import SpawnedFleet, SpawnedReplica, spawn_fleet
from tests.support.raw import RawClient
from tests.support.waiting import PATIENCE, wait_until

SILENCE = 0.2
TICK = 0.002
"""Seconds that one timer of uvloop may be early: it counts in milliseconds from a time read before."""
LAST = b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(settings="tokens=4") as fleet:
        yield fleet


@pytest.fixture
def replica(fleet: SpawnedFleet) -> SpawnedReplica:
    fleet.replicas[0].reset()
    return fleet.replicas[0]


@pytest.fixture
def client(replica: SpawnedReplica) -> Iterator[RawClient]:
    with RawClient(replica.url) as client:
        yield client


def ask(directive: str, *, stream: bool) -> dict[str, object]:
    message = {"role": "user", "content": f"one two @@{directive}@@"}
    return {"model": "m", "messages": [message], "stream": stream, "stream_options": {"include_usage": True}}


def events(got: bytes) -> list[bytes]:
    """The data of the events in what a chunked stream put on the wire."""
    return [line.removeprefix(b"data: ") for line in got.splitlines() if line.startswith(b"data: ")]


def body(got: bytes) -> bytes:
    return got.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["accept_silent", "half_open", "reset"])
def test_no_byte_of_an_answer(client: RawClient, fault: str, *, stream: bool) -> None:
    client.post(ask(f"fault={fault}", stream=stream))
    assert client.rest(PATIENCE if fault == "reset" else SILENCE) == (b"", "reset" if fault == "reset" else "open")


def test_half_open_as_a_setting_reads_nothing_from_the_connection_on(replica: SpawnedReplica) -> None:
    replica.set(fault="half_open")
    before = replica.stats()["open_connections"]
    with RawClient(replica.url) as client:
        client.post(ask("tokens=1", stream=False))
        assert client.rest(SILENCE) == (b"", "open")
        assert replica.calls() == []
        assert replica.stats()["open_connections"] == before + 1


@pytest.mark.parametrize("stream", [True, False])
def test_headers_then_silence(client: RawClient, *, stream: bool) -> None:
    client.post(ask("fault=headers_silent", stream=stream))
    got, end = client.rest(SILENCE)
    assert (got[:15], body(got), end) == (b"HTTP/1.1 200 OK", b"", "open")


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("stall", "open"),
        ("reset_after", "reset"),
        ("eof_close", "eof"),
        ("eof_clean", "open"),
        ("eof_delimited", "eof"),
    ],
)
@pytest.mark.parametrize("after", [0, 2])
def test_a_stream_breaks_after_some_tokens(
    replica: SpawnedReplica, client: RawClient, fault: str, how: str, after: int
) -> None:
    client.post(ask(f"fault={fault},after={after}", stream=True))
    got, end = client.rest(PATIENCE if how != "open" else SILENCE)
    assert (len(events(got)), end) == (after, how)
    assert got.endswith(b"0\r\n\r\n") == (fault == "eof_clean")
    assert (b"transfer-encoding: chunked" in got) == (fault != "eof_delimited")
    assert b"stop" not in got
    (call,) = replica.calls()
    assert (call.tokens, call.outcome) == (after, None if fault == "stall" else "fault")


@pytest.mark.parametrize(
    ("fault", "how"),
    [("stall", "open"), ("reset_after", "reset"), ("eof_close", "eof"), ("cut", "eof"), ("eof_clean", "open"),
     ("eof_delimited", "eof")],
)  # fmt: skip
def test_a_unary_answer_breaks_in_its_middle(client: RawClient, fault: str, how: str) -> None:
    client.post(ask(f"fault={fault}", stream=False))
    got, end = client.rest(PATIENCE if how != "open" else SILENCE)
    assert end == how
    assert b'"id":"chatcmpl-' in got
    assert b"usage" not in got
    assert (b"content-length" in got) == (not fault.startswith("eof_") or fault == "eof_close")


def test_cut_ends_within_an_event(client: RawClient) -> None:
    client.post(ask("fault=cut,after=1", stream=True))
    got, end = client.rest()
    whole, half = events(got)
    assert json.loads(whole)["choices"]
    assert half.startswith(b'{"id":"chatcmpl-')
    assert not half.endswith(b"}")
    assert end == "eof"


@pytest.mark.parametrize("stream", [True, False])
def test_malformed_is_framed_well_but_no_json(client: RawClient, *, stream: bool) -> None:
    client.post(ask("fault=malformed,after=1", stream=stream))
    got = client.until(LAST) if stream else client.rest(SILENCE)[0]
    broken = events(got)[1] if stream else body(got)
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert not stream or events(got)[-1] == b"[DONE]"


def test_an_error_event_in_the_midst(client: RawClient) -> None:
    client.post(ask("fault=error_event,after=2", stream=True))
    *tokens, error, done = events(client.until(LAST))
    assert len(tokens) == 2
    assert json.loads(error)["error"]["type"] == "server_error"
    assert done == b"[DONE]"


@pytest.mark.parametrize("stream", [True, False])
def test_a_200_whose_body_is_an_error(client: RawClient, *, stream: bool) -> None:
    client.post(ask("fault=error_body_200", stream=stream))
    got = client.until(b"}}")
    assert got.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json")
    assert json.loads(body(got)).keys() == {"error"}


@pytest.mark.parametrize("stream", [True, False])
def test_a_content_length_too_large(client: RawClient, *, stream: bool) -> None:
    client.post(ask("fault=wrong_length", stream=stream))
    got, end = client.rest()
    said = int(got.partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert said > len(body(got)) > 0
    assert end == "eof"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "context_length_exceeded"), (404, "model_not_found"), (422, None), (429, "rate_limit_exceeded"),
     (500, None), (503, "overloaded"), (529, None)],
)  # fmt: skip
@pytest.mark.parametrize("again", ["", "7"])
def test_any_status_with_openai_s_error_body(client: RawClient, status: int, code: str | None, again: str) -> None:
    client.post(ask(f"fault=status,status={status},retry_after={again}", stream=True))
    got = client.until(b"}}")
    assert got.startswith(b"HTTP/1.1 %d " % status)
    assert (b"\r\nretry-after: 7\r\n" in got) == bool(again)
    assert json.loads(body(got))["error"]["code"] == code


def test_an_answer_before_the_body_is_there(replica: SpawnedReplica, client: RawClient) -> None:
    replica.set(fault="early_response", status=400)
    client.socket.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n{")
    got, end = client.rest()
    assert (got[:12], end) == (b"HTTP/1.1 400", "eof")
    client.socket.sendall(b" " * 100_000)  # still taken, not answered with a reset
    (call,) = replica.calls()
    assert (call.outcome, call.body_bytes) == ("fault", 0)


def test_gzip_though_not_asked(client: RawClient) -> None:
    client.post(ask("fault=gzip", stream=False))
    got = client.rest(SILENCE)[0]
    assert b"content-encoding: gzip" in got
    assert json.loads(gzip.decompress(body(got)))["usage"]["completion_tokens"] == 4
    client.post(ask("fault=gzip", stream=True))
    plain = zlib.decompressobj(wbits=31).decompress(unchunked(body(client.until(LAST))))
    assert events(plain)[-1] == b"[DONE]"


def unchunked(data: bytes) -> bytes:
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        out, data = out + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return out


@pytest.mark.parametrize("stream", [True, False])
def test_the_end_of_the_body_comes_late(client: RawClient, *, stream: bool) -> None:
    """Who is held up for as long reads both at once, and may ask again."""

    def apart() -> bool:
        client.post(ask("fault=done_late", stream=stream))
        first = client.until(b"[DONE]\n\n\r\n" if stream else b"}}\r\n")
        return not first.endswith(LAST) and client.until(b"0\r\n\r\n") == b"0\r\n\r\n"

    wait_until(apart)


@pytest.mark.parametrize("stream", [True, False])
def test_usage_never_said(client: RawClient, *, stream: bool) -> None:
    client.post(ask("fault=no_usage", stream=stream))
    got = client.until(LAST) if stream else client.rest(SILENCE)[0]
    assert b"stop" in got
    assert b"usage" not in got


def test_all_but_the_terminal_event(client: RawClient) -> None:
    client.post(ask("fault=no_done_but_finish", stream=True))
    got = client.until(LAST)
    assert (b"stop" in got, b"usage" in got, b"[DONE]" in got) == (True, True, False)


@pytest.mark.parametrize("stream", [True, False])
def test_the_connection_closes_after_the_answer(replica: SpawnedReplica, client: RawClient, *, stream: bool) -> None:
    client.post(ask("fault=close_idle", stream=stream))
    got, end = client.rest()
    assert (b"usage" in got, end) == (True, "eof")
    assert replica.calls()[0].outcome == "finished"


def test_a_used_connection_closes_instead_of_an_answer(client: RawClient) -> None:
    client.post(ask("fault=close_reuse", stream=True))
    assert client.until(LAST)
    client.post(ask("fault=close_reuse", stream=True))
    assert client.rest() == (b"", "eof")


@pytest.mark.parametrize("stream", [True, False])
def test_an_interim_response_first(client: RawClient, *, stream: bool) -> None:
    client.post(ask("fault=continue_100", stream=stream))
    assert client.until(b"usage").startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("stream", [True, False])
def test_a_drip_is_as_slow_as_it_is_told(replica: SpawnedReplica, client: RawClient, *, stream: bool) -> None:
    client.post(ask("fault=drip,drip_ms=20,tokens=6", stream=stream))
    client.until(b"usage")
    (call,) = replica.wait_for(lambda calls: calls[0].outcome == "finished")
    assert call.end is not None
    assert call.end - call.start >= 0.1 - TICK

"""The admin listener's connections: nonsense is answered in the envelope, and nobody holds one for ever."""

from __future__ import annotations

import json
import logging

import pytest

from gateway.admin.protocol import CONNECTIONS
from tests.flows.admin.conftest import Administration
from tests.support.raw import RawClient
from tests.support.waiting import wait_until

HEAD = "GET /v1/whoami HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"


def connected(admin: Administration) -> RawClient:
    return admin.stack.enter_context(RawClient(f"http://127.0.0.1:{admin.port}"))


def sent(admin: Administration, *parts: str | bytes) -> tuple[int, str]:
    """Status and code of the one answer, after which the connection ends."""
    client = connected(admin)
    for part in parts:
        client.socket.sendall(part.encode() if isinstance(part, str) else part)
    got, end = client.rest()
    assert end != "open", got
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def good_head(admin: Administration) -> str:
    return HEAD.format(key=admin.keys["admin"].text)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: 127.0.0.1\r\n\r\n", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost: 127.0.0.1\r\nno colon\r\n\r\n", 400),
        ("POST /v1/keys HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", 400),
        ("POST /v1/keys HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -5\r\n\r\n", 400),
        ("POST /v1/keys HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        ("POST /v1/keys HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        ("GET /v1/whoami HTTP/1.1\r\nhost: evil.example\r\n\r\n", 421),
        ("GET /v1/whoami HTTP/1.1\r\nhost: 127.0.0.1\r\na: " + "a" * 40_000 + "\r\n\r\n", 431),
        ("GET /v1/whoami HTTP/1.1\r\nhost: 127.0.0.1\r\na: " + "a" * 70_000, 400),
        ("GET /" + "a" * 5_000 + " HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", 414),
    ],
    ids=range(13),
)  # fmt: skip
def test_nonsense_is_told_in_the_envelope(lasting_admin: Administration, text: str, status: int) -> None:
    assert sent(lasting_admin, text.encode("latin-1"))[0] == status
    assert lasting_admin.client().get("/v1/whoami").status_code == 200


@pytest.mark.parametrize(
    "text", ["nonsense\r\n\r\n", HEAD + "connection: close, upgrade\r\nupgrade: websocket\r\n\r\n"]
)
def test_who_is_refused_does_not_fill_the_log(
    lasting_admin: Administration, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """It comes before all counting."""
    assert sent(lasting_admin, text)[0] in {400, 401}
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_a_body_that_turns_out_to_be_malformed(lasting_admin: Administration) -> None:
    head = good_head(lasting_admin).replace("GET /v1/whoami", "POST /v1/tenants")
    head += "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    assert sent(lasting_admin, head, "2\r\n{}\r\n", "xyz\r\n") == (400, "malformed_request")


def test_a_body_that_waits_to_be_asked_for_and_is_not_ends_the_connection(lasting_admin: Administration) -> None:
    """Whether it comes all the same is not known: what comes next would be read as one or the other."""
    head = "POST /v1/keys HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"
    assert sent(lasting_admin, head) == (401, "invalid_api_key")


def test_a_body_without_an_end_is_not_read_after_its_answer(lasting_admin: Administration) -> None:
    client = connected(lasting_admin)
    client.socket.sendall(b"POST /v1/keys HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99999999999\r\n\r\n")
    assert client.until(b"}}").startswith(b"HTTP/1.1 401 ")
    with pytest.raises(ConnectionError):
        client.socket.sendall(bytes(200 << 20))


def test_a_body_that_stays_away(lasting_admin: Administration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.admin.entry.BODY_TIME", 0.2)
    head = good_head(lasting_admin).replace("GET /v1/whoami", "POST /v1/tenants")
    head += "content-type: application/json\r\ncontent-length: 20\r\n\r\n{"
    assert sent(lasting_admin, head) == (408, "request_timeout")


@pytest.mark.parametrize("so_far", ["", "GET /v1/whoami HT", HEAD])
def test_whoever_does_not_get_on_with_it_is_cut(
    lasting_admin: Administration, monkeypatch: pytest.MonkeyPatch, so_far: str
) -> None:
    """Also who sends a little now and then: it is the turn that ends, not a pause."""
    monkeypatch.setattr("gateway.admin.protocol.TURN", 0.5)
    client = connected(lasting_admin)
    client.socket.sendall(so_far.encode())
    assert client.rest() in {(b"", "eof"), (b"", "reset")}


def test_who_does_not_read_is_cut(admin: Administration, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many answers asked for at once that they do not fit into what lies between us."""
    monkeypatch.setattr("gateway.admin.protocol.TURN", 1.0)
    head = good_head(admin).replace("/v1/whoami", "/openapi.json").encode() + b"\r\n"
    listener = admin.gateway.objects.admin
    client = connected(admin)
    wait_until(lambda: repr(listener), lambda said: ", 1 connections" in said)
    client.socket.sendall(head * 1_000)
    wait_until(lambda: repr(listener), lambda said: ", 0 connections" in said)
    got, _ = client.rest()
    assert 0 < got.count(b"HTTP/1.1 200 ") < 1_000


def test_one_connection_more_than_there_may_be_is_told_so(lasting_admin: Administration) -> None:
    listener = lasting_admin.gateway.objects.admin
    wait_until(lambda: repr(listener), lambda said: ", 0 connections" in said)
    held = [connected(lasting_admin) for _ in range(CONNECTIONS)]
    wait_until(lambda: repr(listener), lambda said: f", {CONNECTIONS} connections" in said)
    assert sent(lasting_admin) == (503, "too_many_connections")
    held[0].socket.close()
    wait_until(lambda: repr(listener), lambda said: f", {CONNECTIONS - 1} connections" in said)
    one = connected(lasting_admin)
    one.socket.sendall(f"{good_head(lasting_admin)}connection: close\r\n\r\n".encode())
    assert one.rest()[0].startswith(b"HTTP/1.1 200 ")
    for client in held:
        client.socket.close()


def test_one_connection_serves_many_requests_also_sent_ahead(lasting_admin: Administration) -> None:
    client = connected(lasting_admin)
    client.socket.sendall(f"{good_head(lasting_admin)}\r\n".encode() * 3)
    client.socket.sendall(f"{good_head(lasting_admin)}connection: close\r\n\r\n".encode())
    got, end = client.rest()
    assert (got.count(b"HTTP/1.1 200 "), got.count(b'"role":"admin"'), end) == (4, 4, "eof")

"""Who is let in: our own names, no web page of somebody else's, no forwarded identity, and not too many."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import Adapter, RunningGateway, configuration, running_gateway
from tests.support.promises import Promises
from tests.support.talk import CHAT, Talk, chat, request

OURS = [b"localhost", b"LOCALHOST", b"localhost:8080", b"127.0.0.1", b"127.0.0.1:1", b"[::1]", b"[::1]:8080"]
FOREIGN = [
    b"evil.example", b"localhost.evil.example", b"evil.example:8080", b"localhost:8080:80", b"localhost:",
    b"localhost:x", b"127.0.0.1.nip.example", b"127.0.0.2", b"::1", b"0.0.0.0", b"localhost, evil.example",
    b"user@localhost", b"",
]  # fmt: skip
COLD = {
    "models": (b"GET", b"/v1/models"),
    "docs": (b"GET", b"/docs"),
    "absent": (b"GET", b"/absent"),
    "preflight": (b"OPTIONS", CHAT),
    "wrong method": (b"GET", CHAT),
}


@pytest.mark.parametrize("host", OURS)
def test_our_names_are_admitted(talk: Talk, host: bytes) -> None:
    assert talk.ask(request(chat(), host=host)).status == 200
    assert talk.ask(request(None, method=b"GET", target=b"/v1/models", host=host)).status == 200


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("cold", [False, True])
def test_another_name_is_misdirected(talk: Talk, upstream: SpawnedReplica, host: bytes, cold: bool) -> None:
    """DNS rebinding: a page of another site points its own name here, and the browser sends that name."""
    wanted = request(None, method=b"GET", target=b"/v1/models", host=host) if cold else request(chat(), host=host)
    (answer,), end = talk.send(wanted).ending()
    assert (answer.status, answer.closes, answer.error["code"], end) == (421, True, "unknown_host", "eof")
    assert upstream.calls() == []


@pytest.mark.parametrize("target", [b"http://evil.example" + CHAT, b"http://evil.example/v1/models"])
def test_the_name_in_an_absolute_target_counts(talk: Talk, promises: Promises, target: bytes) -> None:
    if not promises.absolute_targets_count:
        return
    (answer,), _ = talk.send(request(chat(), target=target)).ending()
    assert (answer.status, answer.error["code"]) == (421, "unknown_host")


@pytest.mark.parametrize("name", COLD)
def test_no_page_of_another_site_is_told_anything(talk: Talk, name: str) -> None:
    method, target = COLD[name]
    fields = [
        b"Origin: http://evil.example",
        b"Access-Control-Request-Method: POST",
        b"Access-Control-Request-Headers: *",
    ]
    answer = talk.ask(request(None, *fields, method=method, target=target))
    assert not [field for field, _ in answer.fields if field.startswith("access-control")]
    assert answer.status == {"models": 200, "docs": 200, "absent": 404}.get(name, 405)


def test_nor_by_an_answer_of_the_pipeline(talk: Talk) -> None:
    for wanted in (chat(), chat(model="absent"), chat(stream=True), b"{"):
        answer = talk.ask(request(wanted, b"Origin: http://evil.example"))
        assert not [field for field, _ in answer.fields if field.startswith("access-control")]


def test_what_is_said_of_the_caller_is_not_passed_on(talk: Talk, upstream: SpawnedReplica) -> None:
    fields = [
        b"Authorization: Bearer secret", b"Cookie: a=b", b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-Host: x.example",
        b"X-Forwarded-Proto: https", b"Forwarded: for=10.0.0.1", b"X-Real-IP: 10.0.0.1", b"Via: 1.1 x", b"X-Mine: 1",
        b"X-Original-URL: /admin", b"Connection: keep-alive, X-Mine", b"Proxy-Authorization: Basic x", b"TE: trailers",
    ]  # fmt: skip
    assert talk.ask(request(chat(), *fields)).status == 200
    (call,) = upstream.calls()
    ours = {"host", "content-type", "content-length", "accept", "accept-encoding", "user-agent", "connection"}
    assert {name for name, _ in call.headers} - ours <= {"x-request-id", "x-request-timeout-ms"}
    assert "secret" not in str(call.headers)


ERRORS = {
    "malformed JSON": (request(b"{"), 400),
    "unknown model": (request(chat(model="absent")), 404),
    "unknown path": (request(None, method=b"GET", target=b"/absent"), 404),
    "unknown path below": (request(None, method=b"GET", target=b"/v1/chat/completions/1"), 404),
    "unknown model by path": (request(None, method=b"GET", target=b"/v1/models/absent"), 404),
    "method": (request(None, method=b"DELETE", target=CHAT), 405),
    "method on a cold path": (request(chat(), target=b"/v1/models"), 405),
    "content type": (request(chat()).replace(b"application/json", b"text/plain"), 415),
    "timeout": (request(chat(), b"X-Request-Timeout-Ms: 0"), 400),
    "label": (request(chat(), b"X-Client-Request-Id: a b"), 400),
    "upstream refuses": (request(chat("@@fault=status,status=400@@")), 400),
    "upstream is full": (request(chat("@@fault=status,status=429,retry_after=7@@")), 503),
    "upstream fails": (request(chat("@@fault=status,status=500@@")), 502),
    "upstream resets": (request(chat("@@fault=reset@@")), 502),
    "upstream is late": (request(chat("@@fault=accept_silent@@"), b"X-Request-Timeout-Ms: 50"), 504),
    "body too large": (request(chat()).replace(b"Content-Length: ", b"Content-Length: 1000000"), 413),
    "url": (request(chat(), target=b"/" + b"x" * 5000), 414),
    "headers": (request(chat(), b"X: " + b"x" * 40_000), 431),
    "expectation": (request(chat(), b"Expect: more"), 417),
    "host": (request(chat(), host=b"evil.example"), 421),
}


@pytest.mark.parametrize("name", ERRORS)
def test_p25_every_error_has_the_envelope_and_an_id(talk: Talk, name: str) -> None:
    wanted, status = ERRORS[name]
    answer = talk.ask(wanted)
    assert answer.status == status
    assert answer.error["code"]
    assert answer.error["message"]
    assert answer.headers["x-request-id"].startswith("req_")
    assert [field for field, _ in answer.fields].count("x-request-id") == 1


def test_ids_are_ours_and_never_twice_the_same(talk: Talk) -> None:
    answers = [talk.ask(request(chat(), b"X-Request-Id: mine")) for _ in range(5)]
    answers += [talk.ask(request(None, method=b"GET", target=b"/v1/models")) for _ in range(5)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 10
    assert all(one.startswith("req_") for one in ids)


def test_small_packets_are_not_held_back(gateway: RunningGateway) -> None:
    """Nagle's algorithm and delayed acknowledgements together cost 40 ms per token."""
    with Talk(gateway.url) as talk:
        assert talk.ask(request(chat())).status == 200

        def options() -> list[int]:
            clients: list[Any] = list(gateway.server.server_state.connections)
            replicas = [replica for model in gateway.objects.catalog for replica in model.replicas]
            pools: list[Any] = [replica.engine for replica in replicas]
            transports = [one.transport for one in clients] + [
                one._transport for pool in pools for one in pool._pool._open
            ]
            sockets = [transport.get_extra_info("socket") for transport in transports]
            return [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in sockets]

        found = gateway.run(options)
        assert len(found) >= 2
        assert all(found)


@pytest.fixture
def cramped(adapter: Adapter, upstream: SpawnedReplica) -> Any:
    with running_gateway(configuration([upstream.url], limits={"connections": 3}), adapter) as gateway:
        yield gateway


def test_connections_are_limited(cramped: RunningGateway, promises: Promises) -> None:
    """Those that are in go on; one that is over the limit is told so, and counted; who leaves makes room."""
    if not promises.connections_are_limited:
        return
    talks = [Talk(cramped.url) for _ in range(3)]
    assert [talk.ask(request(chat())).status for talk in talks] == [200] * 3
    with Talk(cramped.url) as over:
        (answer,), end = over.send(request(chat())).ending()
        assert (answer.status, answer.closes, answer.error["code"], end) == (503, True, "too_many_connections", "eof")
        assert answer.headers["retry-after"] == "1"
    assert [talk.ask(request(chat())).status for talk in talks] == [200] * 3
    crowd = [Talk(cramped.url) for _ in range(100)]
    assert all(one.ending()[1] != "open" for one in crowd)
    for talk in (*crowd, *talks):
        talk.socket.close()
    cramped.wait_until(lambda: not cramped.server.server_state.connections)
    with Talk(cramped.url) as talk:
        assert talk.ask(request(chat())).status == 200

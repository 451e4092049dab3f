"""Bodies are bounded in size, time and sum; whoever is refused can read why, though it was still sending."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import Adapter, RunningGateway, configuration, running_gateway
from tests.support.promises import Promises
from tests.support.talk import CHAT, Talk, chat, chunked, chunked_head, request
from tests.support.waiting import PATIENCE

GOOD = request(chat())
MEGABYTE = b"x" * 1_000_000
SLACK = 8
ROOM = 12 << 20
"""Bytes for all bodies of the gateway that has little room for them."""


def head_of(length: int, *fields: bytes, target: bytes = CHAT) -> bytes:
    """A head that promises so many bytes."""
    return request(None, b"Content-Type: application/json", b"Content-Length: %d" % length, *fields, target=target)


@pytest.mark.parametrize("kind", [b"text/plain", b"application/x-www-form-urlencoded", b"application/jsonp", b""])
def test_another_content_type_is_refused(talk: Talk, upstream: SpawnedReplica, kind: bytes) -> None:
    body = chat()
    answer = talk.ask(request(None, b"Content-Type: " + kind, b"Content-Length: %d" % len(body)) + body)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_type")
    assert talk.ask(GOOD).status == 200, "the rest of a small body is no request"
    assert len(upstream.calls()) == 1


def test_no_content_type_is_refused(talk: Talk) -> None:
    body = chat()
    answer = talk.ask(request(None, b"Content-Length: %d" % len(body)) + body)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_type")
    assert talk.ask(GOOD).status == 200


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON", b'application/json; charset="utf-8"'])
def test_json_by_any_spelling_is_taken(talk: Talk, kind: bytes) -> None:
    body = chat()
    assert talk.ask(request(None, b"Content-Type: " + kind, b"Content-Length: %d" % len(body)) + body).status == 200


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"\xff\xfe", b"\x00" * 100, b"[]", b"null"])
def test_what_is_no_json_object_is_refused(talk: Talk, upstream: SpawnedReplica, body: bytes) -> None:
    answer = talk.ask(request(body))
    assert (answer.status, answer.closes) == (400, False)
    assert answer.error["code"]
    assert talk.ask(GOOD).status == 200
    assert len(upstream.calls()) == 1


def test_a_body_is_too_large_before_it_is_sent(talk: Talk) -> None:
    (answer,), end = talk.send(head_of(10_000_000)).ending()
    assert (answer.status, answer.closes, answer.error["code"], end) == (413, True, "request_too_large", "eof")


def test_a_body_in_chunks_is_too_large_once_it_is(talk: Talk, promises: Promises) -> None:
    talk.send(chunked_head())
    for _ in range(9):
        talk.send(chunked(MEGABYTE)[:-5])
    answers, end = talk.ending()
    if promises.refusals_are_readable or answers:
        (answer,) = answers
        assert (answer.status, answer.closes, answer.error["code"]) == (413, True, "request_too_large")
    assert end == "eof" or not promises.refusals_are_readable


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (head_of(10_000_000), 413),
        (chunked_head(), 413),
        (head_of(10_000_000, b"X-Request-Timeout-Ms: never"), 400),
        (request(None, b"Content-Type: text/plain", b"Content-Length: 10000000"), 415),
        (head_of(10_000_000, target=b"/absent"), 404),
        (request(None, b"Content-Length: 10000000", b"Connection: close", target=b"/absent"), 404),
        (b"NONSENSE\r\n", 400),
        (request(None, b"X: " + b"x" * 40_000), 431),
    ],
)
def test_a_refusal_is_read_though_ten_megabytes_follow(
    talk: Talk, upstream: SpawnedReplica, promises: Promises, head: bytes, status: int
) -> None:
    """P25: a server that closes on unread bytes resets the connection, and the client never sees why."""
    body = chunked(*[MEGABYTE] * 10) if b"chunked" in head else MEGABYTE * 10
    sending = threading.Thread(target=lambda: talk.send(head, body))
    sending.start()
    if promises.refusals_are_readable:
        (answer,), end = talk.ending()
        assert (answer.status in {status, 413}, answer.closes, end) == (True, True, "eof")
        assert answer.error["code"]
    sending.join(30 if promises.refusals_are_readable else 1)
    talk.socket.close()
    sending.join(PATIENCE)
    assert upstream.calls() == []


@pytest.mark.parametrize("sent", [0, 1000])
def test_a_body_that_does_not_arrive_is_refused_in_time(hasty: RunningGateway, sent: int) -> None:
    with Talk(hasty.url) as talk:
        (answer,), end = talk.send(head_of(2000), b" " * sent).ending(SLACK)
        assert (answer.status, answer.closes, answer.error["code"], end) == (408, True, "request_timeout", "eof")


def test_chunks_that_do_not_end_are_refused_in_time(hasty: RunningGateway) -> None:
    with Talk(hasty.url) as talk:
        (answer,), _ = talk.send(chunked_head(), b"5\r\nhello\r\n").ending(SLACK)
        assert (answer.status, answer.closes) == (408, True)


def test_the_rest_of_a_refused_body_is_awaited_no_longer(hasty: RunningGateway, promises: Promises) -> None:
    with Talk(hasty.url) as talk:
        talk.send(request(None, b"Content-Type: text/plain", b"Content-Length: 5000"))
        assert talk.answer().status == 415
        if promises.heads_are_timed:
            assert talk.ending(SLACK) == ([], "eof")


def test_a_truncated_body_is_told_to_a_client_that_waits(
    talk: Talk, upstream: SpawnedReplica, promises: Promises
) -> None:
    talk.send(head_of(5000), b'{"model": ')
    talk.socket.shutdown(1)
    answers, end = talk.ending()
    if promises.half_closed_are_told:
        assert [(answer.status, answer.closes, answer.error["code"]) for answer in answers] == [
            (400, True, "incomplete_body")
        ]
    assert end == "eof"
    assert upstream.calls() == []


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\nhelloX"])
def test_a_malformed_body_is_answered_at_once(talk: Talk, promises: Promises, chunks: bytes) -> None:
    (answer,), end = talk.send(chunked_head(), chunks).ending(SLACK)
    assert (answer.status, answer.closes, end) == (400, True, "eof")
    if promises.refusals_have_envelopes:
        assert answer.error["code"] == "malformed_request"


@pytest.fixture
def narrow(adapter: Adapter, upstream: SpawnedReplica) -> Iterator[RunningGateway]:
    """With little room for bodies, and time enough for them to arrive on a busy machine."""
    with running_gateway(configuration([upstream.url], limits={"bodies": ROOM}), adapter) as gateway:
        yield gateway
        gateway.wait_idle()


def test_bodies_in_memory_are_bounded_over_all_connections(narrow: RunningGateway) -> None:
    """Two bodies of five megabytes fit into twelve; the third is told to come back, and the two are not disturbed."""
    body = chat("x" * 5_000_000 + "@@tokens=1@@")
    held = narrow.objects.edge.memory
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(Talk(narrow.url)) for _ in range(3))
        for talk in (first, second):
            talk.send(request(body)[:-10])
        narrow.wait_until(lambda: held.held > 9_000_000)
        answer = third.ask(request(body))
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
        assert third.ask(GOOD).status == 200 if not answer.closes else True
        for talk in (first, second):
            assert talk.ask(body[-10:]).status == 200
    assert held.held <= ROOM


def test_bodies_behind_a_refusal_take_no_memory(talk: Talk, gateway: RunningGateway) -> None:
    """The body comes after the answer, when nobody is left to give its memory back."""
    talk.send(request(None, b"Content-Type: text/plain", b"Content-Length: 60000"))
    assert talk.answer().status == 415
    talk.send(b"x" * 60_000)
    assert talk.ask(GOOD).status == 200
    gateway.wait_idle()
    assert gateway.objects.edge.memory.held == 0

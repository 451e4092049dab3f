"""Heads are bounded in size, number and time; an idle connection is closed, one that sends nothing too."""

from __future__ import annotations

import time

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import Adapter, RunningGateway, configuration, running_gateway
from tests.support.promises import Promises
from tests.support.talk import Talk, chat, chunked, chunked_head, request

GOOD = request(chat())
LARGE = b"x" * 100_000
SLACK = 8
"""Seconds that a busy machine may add to a timer of half a second."""


@pytest.mark.parametrize(
    "odd",
    [
        request(chat(), b"X-Large: " + LARGE),
        request(chat(), *[b"X-%d: %b" % (n, b"x" * 1000) for n in range(90)]),
        request(chat(), *[b"X-%d: 1" % n for n in range(200)]),
        request(chat(), *[b"X-Same: 1"] * 200),
        request(chat(), LARGE + b": 1"),
        request(None, b"X-Large: " + LARGE, method=b"GET", target=b"/v1/models"),
    ],
    ids=["one large", "many", "two hundred", "two hundred alike", "large name", "cold"],
)
@pytest.mark.parametrize("pieces", [1, 20])
def test_a_head_that_is_too_large_is_refused(talk: Talk, upstream: SpawnedReplica, odd: bytes, pieces: int) -> None:
    size = len(odd) // pieces + 1
    for at in range(0, len(odd), size):
        talk.send(odd[at : at + size])
    (answer,), end = talk.ending()
    assert (answer.status, answer.closes, answer.error["code"], end) == (431, True, "headers_too_large", "eof")
    assert upstream.calls() == []


@pytest.mark.parametrize("target", [b"/v1/chat/completions?" + b"x" * 5000, b"/" + b"x" * 5000])
def test_a_url_that_is_too_long_is_refused(talk: Talk, target: bytes) -> None:
    (answer,), _ = talk.send(request(chat(), target=target)).ending()
    assert (answer.status, answer.closes, answer.error["code"]) == (414, True, "url_too_long")


def test_a_head_just_within_its_bounds_is_served(talk: Talk) -> None:
    fields = [b"X-%d: %b" % (n, b"x" * 300) for n in range(90)]
    assert talk.ask(request(chat(), *fields, target=b"/v1/chat/completions?" + b"x" * 4000)).status == 200
    assert talk.ask(GOOD).status == 200


@pytest.mark.parametrize("begin", [b"GET /" + LARGE, b"POST / HTTP/1.1\r\nX: " + LARGE, b"\r\n" * 50_000])
def test_a_head_without_an_end_is_refused_by_its_size(talk: Talk, promises: Promises, begin: bytes) -> None:
    if not promises.heads_are_bounded:
        return
    for at in range(0, len(begin), 10_000):
        talk.send(begin[at : at + 10_000])
    (answer,), end = talk.ending()
    assert (answer.status, answer.error["code"], end) == (431, "headers_too_large", "eof")


@pytest.mark.parametrize("begin", [b"5;" + b"a" * 400_000, chunked(b"{}")[:-2] + b"X: " + b"a" * 400_000])
def test_extensions_and_trailers_are_bounded(
    talk: Talk, upstream: SpawnedReplica, promises: Promises, begin: bytes
) -> None:
    if not promises.heads_are_bounded:
        return
    (answer,), end = talk.send(chunked_head(), begin).ending()
    assert (answer.status, answer.closes, end) == (431, True, "eof")
    assert upstream.calls() == []


def test_a_large_head_that_began_behind_another_request_is_refused(talk: Talk, upstream: SpawnedReplica) -> None:
    large = request(chat(), b"X-Large: " + b"x" * 40_000)
    assert talk.ask(GOOD + large[:20_000]).status == 200
    (answer,), end = talk.send(large[20_000:]).ending()
    assert (answer.status, answer.error["code"], end) == (431, "headers_too_large", "eof")
    assert len(upstream.calls()) == 1


def test_large_bodies_and_the_next_head_in_one_packet_are_no_large_head(talk: Talk) -> None:
    two = request(chat("x " * 20_000)) + GOOD
    talk.send(two[:-100])
    assert talk.answer().status == 200
    assert talk.ask(two[-100:]).status == 200


@pytest.mark.parametrize("begin", [GOOD[:10], GOOD[:60], GOOD[: GOOD.index(b"\r\n\r\n") + 2]])
@pytest.mark.parametrize("behind", [b"", GOOD])
def test_a_head_that_does_not_end_is_refused_in_time(
    hasty: RunningGateway, promises: Promises, begin: bytes, behind: bytes
) -> None:
    if not promises.heads_are_timed:
        return
    with Talk(hasty.url) as talk:
        if behind:
            assert talk.send(behind, begin).answer().status == 200
        else:
            talk.send(begin)
        (answer,), end = talk.ending(SLACK)
        assert (answer.status, answer.closes, answer.error["code"], end) == (408, True, "request_timeout", "eof")


def test_a_head_that_begins_on_an_idle_connection_has_its_own_time(
    adapter: Adapter, upstream: SpawnedReplica, promises: Promises
) -> None:
    if not promises.heads_are_timed:
        return
    settings = configuration([upstream.url], timeouts={"head": 0.5})
    with running_gateway(settings, adapter) as gateway, Talk(gateway.url) as talk:
        assert talk.ask(GOOD).status == 200
        (answer,), end = talk.send(GOOD[:60]).ending(SLACK)
        assert (answer.status, answer.error["code"], end) == (408, "request_timeout", "eof")


def test_a_head_drop_by_drop_meets_the_same_time(hasty: RunningGateway, promises: Promises) -> None:
    if not promises.heads_are_timed:
        return
    with Talk(hasty.url) as talk:
        end = time.monotonic() + SLACK
        heard: list[int] = []
        for n in range(len(GOOD)):
            talk.send(GOOD[n : n + 1])
            answers, how = talk.ending(0.1)
            heard += [answer.status for answer in answers]
            if how != "open" or time.monotonic() > end:
                break
        assert heard == [408]


@pytest.mark.parametrize("first", [b"", GOOD])
def test_an_idle_connection_is_closed(hasty: RunningGateway, promises: Promises, first: bytes) -> None:
    if not promises.heads_are_timed:
        return
    with Talk(hasty.url) as talk:
        if first:
            assert talk.ask(first).status == 200
        assert talk.ending(SLACK) == ([], "eof")

"""Requests sent ahead of their answers: the order is kept, their number is bounded, and the end is clean."""

from __future__ import annotations

import json

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import RunningGateway
from tests.support.promises import Promises
from tests.support.talk import Answer, Talk, chat, request

MODELS = request(None, method=b"GET", target=b"/v1/models")


def labelled(n: int, **members: object) -> bytes:
    """A request that takes the less time the later it is, so that answers would overtake each other if they could."""
    ms = max(0, 20 - 2 * n)
    return request(chat(f"@@tokens=2,service_ms={ms},ttft_ms={ms}@@", **members), b"X-Request-Id: %d" % n)


def labels(answers: list[Answer]) -> list[str]:
    return [answer.headers.get("x-client-request-id", "") for answer in answers]


@pytest.mark.parametrize("count", [2, 9])
@pytest.mark.parametrize("stream", [False, True])
def test_requests_in_one_packet_are_answered_in_order(talk: Talk, count: int, stream: bool) -> None:
    talk.send(*[labelled(n, stream=stream) for n in range(count)])
    answers = [talk.answer() for _ in range(count)]
    assert labels(answers) == [str(n) for n in range(count)]
    assert {answer.status for answer in answers} == {200}
    assert talk.ask(MODELS).status == 200, "the connection goes on"


def test_hot_and_cold_requests_keep_their_order(talk: Talk) -> None:
    wanted = [labelled(0), MODELS, MODELS, labelled(1, stream=True), MODELS, labelled(2)]
    talk.send(*wanted)
    answers = [talk.answer() for _ in wanted]
    assert labels(answers) == ["0", "", "", "1", "", "2"]
    assert [json.loads(answers[n].body)["object"] for n in (1, 2, 4)] == ["list"] * 3
    assert talk.ask(MODELS).status == 200


def test_requests_split_at_any_place_are_the_same(talk: Talk) -> None:
    two = labelled(0) + labelled(1)
    for at in range(0, len(two), 7):
        talk.send(two[at : at + 7])
    assert labels([talk.answer(), talk.answer()]) == ["0", "1"]


def test_more_than_may_wait_end_the_connection_after_those_that_may(
    talk: Talk, gateway: RunningGateway, upstream: SpawnedReplica, promises: Promises
) -> None:
    slow = request(chat("@@service_ms=300@@"))
    talk.send(slow, *[labelled(n) for n in range(40)])
    if promises.pipelines_are_bounded:
        answers, end = talk.ending()
        assert [answer.status for answer in answers] == [200] * 9 + [400]
        assert (answers[-1].error["code"], answers[-1].closes, end) == ("pipeline_full", True, "eof")
        gateway.wait_idle()
        assert len(upstream.calls()) == 9
    else:
        assert [talk.answer().status for _ in range(41)] == [200] * 41


def test_nothing_runs_behind_a_request_that_closes(
    talk: Talk, gateway: RunningGateway, upstream: SpawnedReplica
) -> None:
    talk.send(labelled(0), request(chat("last"), b"Connection: close"), request(chat("smuggled")))
    answers, end = talk.ending()
    assert ([answer.status for answer in answers], [answer.closes for answer in answers]) == ([200, 200], [False, True])
    assert end == "eof"
    gateway.wait_idle()
    assert len(upstream.calls()) == 2


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (request(b"{"), 400),
        (request(chat(model="absent")), 404),
        (request(chat(), b"X-Client-Request-Id: not one"), 400),
        (request(None, method=b"GET"), 405),
        (request(None, method=b"GET", target=b"/absent"), 404),
    ],
)
def test_the_next_request_is_served_behind_a_refused_one(talk: Talk, refused: bytes, status: int) -> None:
    talk.send(refused, labelled(1))
    first, second = talk.answer(), talk.answer()
    assert (first.status, first.closes, second.status) == (status, False, 200)
    assert first.error["code"]


def test_a_malformed_request_is_refused_behind_the_answers_before_it(
    talk: Talk, gateway: RunningGateway, upstream: SpawnedReplica, promises: Promises
) -> None:
    talk.send(labelled(0), MODELS, labelled(1, stream=True), b"NONSENSE\r\n\r\n", request(chat("smuggled")))
    answers, end = talk.ending()
    if promises.refusals_wait_for_their_turn:
        assert [answer.status for answer in answers] == [200, 200, 200, 400]
        assert (answers[-1].error["code"], end) == ("malformed_request", "eof")
    gateway.wait_idle()
    assert all(call.body["messages"][0]["content"] != "smuggled" for call in upstream.calls())


def test_a_large_body_behind_a_running_request_is_not_taken_in(
    talk: Talk, upstream: SpawnedReplica, promises: Promises
) -> None:
    """To stop reading would hide that the client leaves; to read on would hold what nobody has asked for."""
    large = request(chat("x" * 500_000))
    talk.send(request(chat("@@ttft_ms=300,tokens=2@@", stream=True)), large)
    assert talk.answer().status == 200
    answer = talk.answer()
    if promises.pipelines_are_bounded:
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
        assert len(upstream.calls()) == 1
    else:
        assert answer.status == 200
    if not answer.closes:
        assert talk.ask(MODELS).status == 200

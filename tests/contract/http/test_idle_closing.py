"""Where files run short idle connections go: none on which a request has begun, nor one that has not had its chance."""

from __future__ import annotations

import pytest

from tests.support.gateway import Adapter, RunningGateway
from tests.support.talk import Talk, chat, request

GOOD = request(chat())
STREAM = request(chat("@@tokens=20,delay_ms=20@@", stream=True))
ALL = 10**6


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    """Stock uvicorn closes none."""
    return "front_door"


def close_idle(gateway: RunningGateway) -> int:
    """All that are; how many."""
    closed: int = gateway.run(lambda: gateway.objects.edge.protection.idlers.close(ALL))
    return closed


def test_what_had_its_answer_and_asks_no_more_is_closed(gateway: RunningGateway) -> None:
    with Talk(gateway.url) as talk:
        assert talk.ask(GOOD).status == 200
        assert close_idle(gateway) == 1
        assert talk.ending() == ([], "eof")


@pytest.mark.parametrize("begun", [1, GOOD.index(b"{"), len(GOOD) - 1], ids=["a sign of a head", "a head", "a body"])
def test_what_has_begun_behind_an_answer_is_answered(gateway: RunningGateway, begun: int) -> None:
    with Talk(gateway.url) as talk:
        assert talk.ask(GOOD + GOOD[:begun]).status == 200
        assert close_idle(gateway) == 0
        assert talk.ask(GOOD[begun:]).status == 200


def test_who_has_not_asked_yet_is_answered(gateway: RunningGateway) -> None:
    with Talk(gateway.url) as talk:
        assert close_idle(gateway) == 0
        assert talk.ask(GOOD).status == 200


def test_answers_under_way_and_those_behind_them_come_whole(gateway: RunningGateway) -> None:
    with Talk(gateway.url) as talk:
        talk.send(STREAM, GOOD).until(b"data: ")
        assert close_idle(gateway) == 0
        assert [talk.answer().status, talk.answer().status] == [200, 200]

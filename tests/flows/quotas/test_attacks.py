"""P02, P45: whoever wants more than is theirs gets no more than that, whatever their requests are made to look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.support import plain
from tests.support.asking import request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.limited import WHOLE_DAY, left, limited, plan, refused
from tests.support.queueing import Heard, Queueing, named
from tests.support.raw import RawClient

MINE = "key:tokens_per_day"
PROMPT = 60
"""Tokens that the prompts here are at most expected to take, by their size."""
LASTS = "service_ms=300,tokens={}"


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with limited(fleet, tmp_path, plan(key={"tokens_per_day": WHOLE_DAY})) as made:
        yield made


def told(answers: list[Future[Heard]]) -> Counter[int]:
    return Counter(one.result().answer.status for one in answers)


def produced(place: Queueing) -> int:
    """Tokens that the model server has counted, prompts included."""
    return sum(call.prompt_tokens + call.tokens for call in place.asked())


@pytest.mark.parametrize("number", [60])
def test_p02_of_many_at_the_same_time_no_more_pass_than_there_is_room_for(place: Queueing, number: int) -> None:
    """Each takes 200 tokens of answer: at most ten could have had room, and all of them end in the limit."""
    asking = [place.asking(named("many", LASTS.format(200), max_tokens=200), "acme") for _ in range(number)]
    statuses = told(asking)
    assert statuses.keys() == {200, 429}
    assert 6 <= statuses[200] <= 9
    assert produced(place) <= WHOLE_DAY
    place.gateway.wait_idle()
    assert WHOLE_DAY - left(place)[MINE] == produced(place)


def test_p02_many_answers_that_nobody_expected_so_long_overshoot_by_no_more_than_that(place: Queueing) -> None:
    """Which is a debt, so that in the long run it is none: who does it again has to wait for it first."""
    asking = [place.asking(named("long", LASTS.format(1000)), "acme") for _ in range(30)]
    passed = told(asking)[200]
    assert 0 < passed <= WHOLE_DAY // 256
    over = produced(place) - WHOLE_DAY
    assert 0 < over <= passed * (1000 - 256)
    _, wait = refused(place.ask(named("next", max_tokens=1), "acme").answer)
    assert wait >= over * 86_400 / WHOLE_DAY


def test_p02_requests_at_the_same_time_are_no_more_than_their_limit(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with limited(fleet, tmp_path, plan(key={"requests_per_minute": 7})) as place:
        assert told([place.asking(named("many"), "acme") for _ in range(60)])[200] == 7
        assert len(place.asked()) == 7


def reserved(place: Queueing, wanted: dict[str, Any], path: str = "/v1/chat/completions") -> int:
    """Tokens that are taken off while it is served."""
    with RawClient(place.gateway.url) as client:
        client.post(wanted, path, f"authorization: Bearer {place.keys['acme'].text}", "content-type: application/json")
        place.gateway.wait_until(lambda: place.in_flight == 1)
        return WHOLE_DAY - left(place)[MINE]


HELD = "service_ms=60000,ttft_ms=60000"
CAPS: list[tuple[dict[str, Any], int]] = [
    ({"max_tokens": 1}, 1),
    ({"max_tokens": 1, "max_completion_tokens": 200}, 200),
    ({"max_tokens": 200, "max_completion_tokens": 1}, 200),
    ({"max_tokens": 1, "n_predict": 200}, 200),
    ({"max_tokens": 1, "n": 100}, 100),
    ({"max_tokens": 50, "n": 4}, 200),
    ({"max_tokens": 1, "max_completion_tokens": 50, "n": 4}, 200),
    ({}, 256),
    ({"max_tokens": 2_000_000_000}, 256),
    ({"n": 4}, 1024),
]


@pytest.mark.parametrize(("members", "answer"), CAPS, ids=range(len(CAPS)))
def test_p02_the_largest_of_all_caps_is_reserved_for_every_answer(
    place: Queueing, members: dict[str, Any], answer: int
) -> None:
    """A cap that nobody's answers come near is worth what they are expected to be."""
    assert answer < reserved(place, named("split", HELD, **members)) <= answer + PROMPT


@pytest.mark.parametrize(
    ("members", "answer"),
    [({"best_of": 4}, 200), ({"best_of": 4, "n": 2}, 200), ({"n": 3}, 150), ({"prompt": [f"@@{HELD}@@"] * 4}, 200)],
    ids=range(4),
)
def test_p02_what_is_generated_only_to_be_thrown_away_is_reserved_too(
    place: Queueing, members: dict[str, Any], answer: int
) -> None:
    wanted = {"model": "mock", "prompt": f"@@{HELD}@@", "max_tokens": 50, **members}
    assert answer < reserved(place, wanted, "/v1/completions") <= answer + PROMPT


def test_p02_tools_are_part_of_the_prompt(place: Queueing) -> None:
    """They are read by the model as its messages are."""
    parameters = {"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(100)}}
    tools = [{"type": "function", "function": {"name": "f", "description": "d" * 2000, "parameters": parameters}}]
    assert reserved(place, named("tools", HELD, max_tokens=1, tools=tools)) > 1000
    refusal = place.ask(named("tools", max_tokens=1, tools=tools * 3), "acme").answer
    assert (refusal.status, refusal.error and refusal.error["code"]) == (400, "request_over_limit")


@pytest.mark.parametrize("header", ["x-request-id", "x-client-request-id", "idempotency-key"])
def test_p02_the_same_request_id_again_is_charged_again(fleet: SpawnedFleet, tmp_path: Path, header: str) -> None:
    with limited(fleet, tmp_path, plan(key={"requests_per_minute": 3})) as place:
        extra = {header.replace("-", "_"): "mine"}
        statuses = [place.ask(named("again"), "acme", **extra).answer.status for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]


def test_p02_hanging_up_again_and_again_gets_no_more_than_the_limit(place: Queueing) -> None:
    """Each time the answer is produced in part; what the model server made beyond is what was on its way."""
    hung_up = 0
    while True:
        with RawClient(place.gateway.url) as client:
            wanted = named("fickle", "tokens=1000,delay_ms=1", stream=True, max_tokens=1000)
            client.socket.sendall(request_bytes(wanted, place.headers("acme")))
            if b" 429 " in client.until(b"\r\n\r\n"):
                break
            seen = b""
            while seen.count(b'"content":') < 100:
                seen += client.until(b'"content":')
        place.gateway.wait_idle()
        hung_up += 1
    assert 5 < hung_up < WHOLE_DAY // 100
    calls = place.wait_for_asked(hung_up)
    assert sum(call.tokens for call in calls) <= WHOLE_DAY + hung_up * 100, "100 tokens are a tenth of a second"


def test_p02_a_time_that_is_too_short_is_no_way_around_a_limit(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """As long as it lasts, a model server works on the prompt."""
    with limited(fleet, tmp_path, plan(key={"requests_per_minute": 5})) as place:
        statuses = [
            place.ask(named("hasty", HELD), "acme", x_request_timeout_ms="200").answer.status for _ in range(10)
        ]
        assert 429 in statuses
        assert len(place.asked()) <= 5


def test_others_are_not_touched(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """One tenant's flood leaves another's limits whole."""
    tenants: dict[str, dict[str, Any]] = {"acme": {}, "meek": {}}
    with limited(fleet, tmp_path, plan(tenant={"tokens_per_day": WHOLE_DAY}), tenants=tenants) as place:
        told([place.asking(named("many", "tokens=100"), "acme") for _ in range(40)])
        assert left(place, "meek") == {"tenant:tokens_per_day": WHOLE_DAY}
        assert place.ask(named("meek"), "meek").told == (200, "")


def test_p45_what_is_not_for_models_and_what_is_not_understood_costs_nothing(place: Queueing) -> None:
    headers = place.headers("acme")
    for _ in range(20):
        assert place.http.get("/v1/models", headers=headers).status_code == 200
        assert place.ask(named("bad", temperature=3), "acme").answer.status == 400
        assert place.ask(named("bad", model="absent"), "acme").answer.status == 404
    assert plain.get(f"{place.gateway.ops_url}/livez").status_code == 200
    assert left(place)[MINE] == WHOLE_DAY

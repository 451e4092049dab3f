"""P02: what limits are charged in the end is what the model server has counted, to the token, however requests end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.limited import WHOLE_DAY, ask_mixed, left, limited, plan, refused
from tests.support.queueing import LONG, Queueing, named, served
from tests.support.raw import RawClient

DAY = {"tokens_per_day": WHOLE_DAY}
MINE = "key:tokens_per_day"
WORD = b'"content":'
SENT_ON = 100
"""Tokens that a model server may have made, one each 20 ms, before it has noticed that nobody wants them."""


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with limited(fleet, tmp_path, plan(key=DAY)) as made:
        yield made


def charged(place: Queueing) -> int:
    """Tokens of the day, once nothing is under way."""
    place.gateway.wait_idle()
    return WHOLE_DAY - left(place)[MINE]


def counted(place: Queueing) -> int:
    """By the model server itself, of all that it was asked for."""
    return sum(call.prompt_tokens + call.tokens for call in place.asked())


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("tokens", [1, 200, 700], ids=["shorter", "about", "longer"])
def test_p02_an_answer_is_charged_as_the_model_server_counts(place: Queueing, tokens: int, *, stream: bool) -> None:
    """Whether it was shorter than expected or longer."""
    assert place.ask(named("asks", f"tokens={tokens}", stream=stream), "acme").told == (200, "")
    assert charged(place) == counted(place) > tokens


def test_p02_several_answers_to_one_prompt_are_charged_all(place: Queueing) -> None:
    assert place.ask(named("asks", "tokens=30", n=5), "acme").told == (200, "")
    assert charged(place) == counted(place) > 150


FAILURES = {
    "fault=status,status=500": (502, "upstream_error"),
    "fault=status,status=503": (503, "upstream_overloaded"),
    "fault=status,status=429": (503, "upstream_overloaded"),
    "fault=reset": (502, "upstream_unreachable"),
    "fault=error_body_200": (502, "upstream_error"),
    "fault=eof_close": (502, "upstream_error"),
}


@pytest.mark.parametrize("directive", FAILURES)
def test_p02_a_failure_of_the_model_server_costs_nothing(place: Queueing, directive: str) -> None:
    assert place.ask(named("asks", directive), "acme").told == FAILURES[directive]
    assert charged(place) == 0


def test_p02_a_model_server_that_refuses_connections_costs_nothing(place: Queueing) -> None:
    place.upstream.listen("refused", drop=True)
    try:
        assert place.ask(named("asks"), "acme").told == (502, "upstream_unreachable")
        assert charged(place) == 0
    finally:
        place.upstream.listen("open")


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_p02_the_gateway_s_deadline_before_any_content_costs_nothing(
    fleet: SpawnedFleet, tmp_path: Path, *, stream: bool
) -> None:
    with limited(fleet, tmp_path, plan(key=DAY), timeouts={"total": "300ms"}) as place:
        assert place.ask(named("asks", LONG, stream=stream), "acme").told == (504, "upstream_timeout")
        assert charged(place) == 0


def test_p02_a_mistake_found_by_the_model_server_costs_a_request_and_no_tokens(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    with limited(fleet, tmp_path, plan(key={**DAY, "requests_per_minute": 1})) as place:
        assert place.ask(named("asks", "fault=status,status=400"), "acme").answer.status == 400
        assert charged(place) == 0
        refused(place.ask(named("asks"), "acme").answer)


def by_size(wanted: dict[str, Any]) -> int:
    """Tokens to expect of a prompt before a model server has told better."""
    return len(json.dumps(wanted)) // 4


def hang_up(place: Queueing, directive: str, words: int, **members: Any) -> int:
    """After so many words of the answer; what the prompt is expected to take."""
    wanted = named("fickle", directive, **members)
    with RawClient(place.gateway.url) as client:
        client.socket.sendall(request_bytes(wanted, place.headers("acme")))
        place.gateway.wait_until(lambda: place.in_flight == 1)
        seen = b""
        while seen.count(WORD) < words:
            seen += client.until(WORD)
    return by_size(wanted)


@pytest.mark.parametrize("words", [1, 10])
def test_p02_who_hangs_up_in_mid_stream_pays_for_the_prompt_and_what_was_produced(place: Queueing, words: int) -> None:
    prompt = hang_up(place, "tokens=500,delay_ms=20", words, stream=True)
    produced = charged(place) - prompt
    (call,) = place.wait_for_asked(1)
    assert words <= produced <= call.tokens <= produced + SENT_ON < 500


def test_p02_who_hangs_up_before_any_content_pays_for_the_prompt(place: Queueing) -> None:
    prompt = hang_up(place, LONG, 0, stream=True)
    assert charged(place) == prompt > 0


def test_p02_who_hangs_up_on_an_answer_in_one_piece_pays_what_was_expected(place: Queueing) -> None:
    """Nobody is told how much of it there was already."""
    prompt = hang_up(place, LONG, 0, max_tokens=100)
    assert charged(place) == prompt + 100


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_p02_whose_own_time_has_passed_before_any_content_pays_as_who_hangs_up(
    place: Queueing, *, stream: bool
) -> None:
    wanted = named("hasty", LONG, stream=stream, max_tokens=100)
    assert place.ask(wanted, "acme", x_request_timeout_ms="500").told == (504, "upstream_timeout")
    assert 0 < charged(place) - (0 if stream else 100) <= by_size(wanted)


def test_p02_who_hangs_up_while_they_wait_for_a_place_pays_nothing(fleet: SpawnedFleet, tmp_path: Path) -> None:
    tenants: dict[str, dict[str, Any]] = {"acme": {}, "busy": {}}
    with (
        limited(fleet, tmp_path, plan(key=DAY), tenants=tenants, models=[served(fleet.urls, 1)]) as place,
        place.holding(who="busy"),
    ):
        with RawClient(place.gateway.url) as fickle:
            fickle.socket.sendall(request_bytes(named("fickle"), place.headers("acme")))
            place.wait_for_queue(1)
            assert left(place)[MINE] < WHOLE_DAY, "who waits has reserved"
        place.wait_for_queue(0)
        place.gateway.wait_until(lambda: left(place)[MINE] == WHOLE_DAY)
        assert place.asked() == []


def test_p02_who_is_refused_a_place_pays_nothing(fleet: SpawnedFleet, tmp_path: Path) -> None:
    tenants: dict[str, dict[str, Any]] = {"acme": {}, "busy": {}}
    models = [served(fleet.urls, 1), served(fleet.urls, None, "other")]
    with limited(fleet, tmp_path, plan(key=DAY), tenants=tenants, models=models, admission={"queue": 1}) as place:
        with place.holding(who="busy"):
            waiting = place.lining_up(named("second"), "busy")
            assert place.ask(named("asks"), "acme").told == (503, "overloaded")
            assert left(place)[MINE] == WHOLE_DAY
        assert waiting.result().told == (200, "")


def test_p02_a_stream_that_breaks_is_charged_what_has_come(place: Queueing) -> None:
    wanted = named("asks", "tokens=100,after=40,fault=cut", stream=True)
    with RawClient(place.gateway.url) as client:
        client.socket.sendall(request_bytes(wanted, place.headers("acme")))
        client.until(b"upstream_interrupted")
    assert charged(place) == by_size(wanted) + 40


def test_p02_an_answer_that_nobody_counted_is_not_free(place: Queueing) -> None:
    assert place.ask(named("asks", "fault=no_usage", max_tokens=90), "acme").told == (200, "")
    assert charged(place) >= 90
    assert place.ask(named("asks", "tokens=40,fault=no_usage", stream=True), "acme").told == (200, "")
    assert 130 <= charged(place) <= 130 + 100


def test_p02_after_a_mix_of_endings_the_limit_stands_at_the_truth(place: Queueing) -> None:
    """Many at a time; what broke down counts nothing, what was answered what the model server says."""
    truth = ask_mixed(place)
    assert charged(place) == truth > 0


def test_p02_a_longer_answer_than_expected_is_a_debt_that_later_ones_wait_for(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    with limited(fleet, tmp_path, plan(key={"output_tokens_per_minute": 600})) as place:
        assert place.ask(named("long", "tokens=1000"), "acme").told == (200, "")
        assert left(place) == {"key:output_tokens_per_minute": 0}
        message, wait = refused(place.ask(named("next", max_tokens=10), "acme").answer)
        assert "(0 are left)" in message
        assert 30 < wait <= 41, "410 tokens of 10 a second"

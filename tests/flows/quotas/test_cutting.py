"""Plans with `cut_answers`: an answer ends, with finish_reason length, where its caller's limits have no more left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from loadtests.prove.answers import Answer
from security.limits.api import Cost
from tests.flows.quotas.test_settling import WORD, by_size
from tests.support import plain
from tests.support.asking import body, request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.limited import WHOLE_DAY, left, limited, plan, refused, use_up
from tests.support.queueing import Queueing, named, served
from tests.support.raw import RawClient
from tests.support.valkey import running_valkey
from tests.support.waiting import wait_until

DAY = {"tokens_per_day": WHOLE_DAY}
MINE = "key:tokens_per_day"
EXPECTED = 256
"""Tokens of an answer before any has come."""
SENT_ON = 1000
"""Tokens that a model server may have made, two milliseconds each, before it has noticed that nobody wants them."""
ENDLESS = "tokens=5000,delay_ms=2,heeds_cap=false"
CAPPED = "x-gateway-capped"


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with limited(fleet, tmp_path, plan(key=DAY, cut_answers=True)) as made:
        yield made


def leave(place: Queueing, tokens: int) -> None:
    """So many of the day, prompts' included."""
    use_up(place, Cost(0, 0, WHOLE_DAY - tokens))


def cap_of(answer: Answer) -> int:
    """Of each answer, as the client was told it."""
    tokens, reason = answer.headers[CAPPED].split(";")
    assert reason == "reason=quota"
    return int(tokens.removeprefix("max_tokens="))


def ends(answer: Answer) -> dict[int, str]:
    """Of each choice, why it ended: it says so once."""
    found: dict[int, str] = {}
    for choice in (choice for document in answer.events or [answer.document] for choice in document["choices"]):
        if choice["finish_reason"]:
            assert choice["index"] not in found
            found[choice["index"]] = choice["finish_reason"]
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("caps", [(), ("max_tokens",), ("max_tokens", "max_completion_tokens")], ids=len)
def test_an_answer_ends_where_nothing_is_left_for_it(place: Queueing, caps: tuple[str, ...], *, stream: bool) -> None:
    leave(place, 500)
    wanted = named("asks", "tokens=5000", stream=stream, **dict.fromkeys(caps, 5000))
    answer = place.ask(wanted, "acme", x_client_request_id="it").answer
    assert (answer.status, ends(answer)) == (200, {0: "length"})
    (call,) = place.wait_for_asked(1)
    cap = cap_of(answer)
    assert EXPECTED < cap < 500, "less by what the prompt is expected to take"
    assert call.tokens == call.body["max_tokens"] == cap
    assert "max_completion_tokens" not in call.body
    record = place.record("it")
    assert (record["output_cap"], record["completion_tokens"], record["cut"]) == (cap, cap, False)
    assert left(place)[MINE] == 500 - call.prompt_tokens - call.tokens >= 0


def test_what_is_left_is_shared_among_the_answers_of_a_request(place: Queueing) -> None:
    leave(place, 1000)
    answer = place.ask(named("asks", "tokens=5000", n=3), "acme").answer
    assert ends(answer) == dict.fromkeys(range(3), "length")
    (call,) = place.wait_for_asked(1)
    assert call.tokens == 3 * cap_of(answer) <= 1000 - call.prompt_tokens


def test_who_asks_for_no_more_than_is_left_gets_what_they_ask_for(place: Queueing) -> None:
    leave(place, 500)
    answer = place.ask(
        named("asks", "tokens=100", max_tokens=50, min_tokens=20), "acme", x_client_request_id="it"
    ).answer
    (call,) = place.wait_for_asked(1)
    assert (call.body["max_tokens"], call.body["min_tokens"]) == (50, 20)
    assert CAPPED not in answer.headers
    assert place.record("it")["output_cap"] == 0


def test_a_request_for_so_many_tokens_at_least_is_for_no_more_than_the_cap(place: Queueing) -> None:
    """Servers refuse a request whose `min_tokens` is above its cap."""
    leave(place, 500)
    cap = cap_of(place.ask(named("asks", min_tokens=900), "acme").answer)
    (call,) = place.wait_for_asked(1)
    assert call.body["min_tokens"] == call.body["max_tokens"] == cap


def test_who_has_less_left_than_an_answer_is_expected_to_take_is_refused_as_ever(place: Queueing) -> None:
    leave(place, EXPECTED)
    refused(place.ask(named("asks"), "acme").answer)
    assert place.asked() == []


@pytest.mark.parametrize("asked", [{}, {"max_tokens": 61}, {"max_tokens": 61, "n": 2}])
def test_who_asks_for_more_than_there_ever_is_gets_what_there_is(
    fleet: SpawnedFleet, tmp_path: Path, asked: dict[str, Any]
) -> None:
    with limited(fleet, tmp_path, plan(key={"output_tokens_per_minute": 60}, cut_answers=True)) as place:
        answer = place.ask(named("asks", "tokens=80", **asked), "acme").answer
        assert (answer.status, answer.headers[CAPPED]) == (200, f"max_tokens={60 // asked.get('n', 1)};reason=quota")


def test_without_a_limit_on_tokens_nothing_is_capped(fleet: SpawnedFleet, tmp_path: Path) -> None:
    allowed = {"requests_per_minute": 5, "input_tokens_per_minute": 1000}
    with limited(fleet, tmp_path, plan(key=allowed, cut_answers=True)) as place:
        assert CAPPED not in place.ask(named("asks", "tokens=1000"), "acme").answer.headers


def test_an_embedding_has_no_cap_whatever_its_request_says(place: Queueing) -> None:
    leave(place, 100)
    wanted = {"model": "mock", "input": "Some words.", "max_tokens": 5000, "min_tokens": []}
    answer = place.http.post("/v1/embeddings", json=wanted, headers=place.headers("acme"))
    assert answer.status_code == 200, answer.text
    (call,) = place.upstream.calls()
    assert call.body == wanted
    assert CAPPED not in answer.headers


def test_a_plan_that_is_only_tried_caps_nothing(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with limited(fleet, tmp_path, plan(key=DAY, cut_answers=True, enforce=False)) as place:
        leave(place, 300)
        assert CAPPED not in place.ask(named("asks", "tokens=1000"), "acme").answer.headers


def test_where_a_fall_back_answers_its_answer_is_capped_as_well(fleet: SpawnedFleet, tmp_path: Path) -> None:
    broken = served(fleet.urls, None, upstream="mock@@fault=status,status=503@@")
    models = [broken, served(fleet.urls, None, "other", cap_field="max_completion_tokens")]
    routing = [{"model": "mock", "fallback": {"models": ["other"], "when": ["overload"]}}]
    with limited(fleet, tmp_path, plan(key=DAY, cut_answers=True), models=models, routing=routing) as place:
        leave(place, 500)
        cap = cap_of(place.ask(body(), "acme").answer)
        assert [(call.body.get("max_tokens"), call.body.get("max_completion_tokens")) for call in place.asked()] == [
            (cap, None),
            (None, cap),
        ]


@pytest.mark.parametrize("usage", [False, True], ids=["", "usage"])
@pytest.mark.parametrize("n", [1, 2])
def test_a_stream_is_cut_whose_model_server_goes_on_beyond_its_cap(place: Queueing, n: int, *, usage: bool) -> None:
    """The client sees a normal end, the model server is told to stop, and what had come is charged, once."""
    leave(place, 50 + EXPECTED * n)
    options = {"stream_options": {"include_usage": True}} if usage else {}
    answer = place.ask(named("asks", ENDLESS, stream=True, n=n, **options), "acme", x_client_request_id="it").answer
    assert (answer.status, answer.done, ends(answer)) == (200, True, dict.fromkeys(range(n), "length"))
    assert len({(event["id"], event["object"], event["model"], event["created"]) for event in answer.events}) == 1
    (call,) = place.wait_for_asked(1)
    record = place.record("it")
    produced, cap = record["completion_tokens"], cap_of(answer)
    assert n * cap < produced <= call.tokens <= produced + SENT_ON
    assert call.outcome == "cancelled"
    assert (record["output_cap"], record["cut"], record["outcome"]) == (cap, True, "success")
    told = [event["usage"]["completion_tokens"] for event in answer.events if event.get("usage")]
    assert told == ([produced] if usage else [])
    place.gateway.wait_idle()
    assert left(place)[MINE] == 0, "the prompt is still to be counted, the answer has used up the rest"
    assert metric_of(place, cut="true") == 1


def test_a_stream_is_cut_as_well_whose_model_server_does_not_heed_the_caller_s_own_cap(place: Queueing) -> None:
    """Which is lower than what is left, and no reason to let all of it pass."""
    leave(place, 500)
    answer = place.ask(named("asks", ENDLESS, stream=True, max_tokens=50), "acme", x_client_request_id="it").answer
    assert (answer.status, answer.done, ends(answer)) == (200, True, {0: "length"})
    (call,) = place.wait_for_asked(1)
    record = place.record("it")
    assert record["completion_tokens"] <= call.tokens < 500 + SENT_ON
    assert (call.outcome, record["output_cap"], record["cut"]) == ("cancelled", 0, True)
    place.gateway.wait_idle()
    assert left(place)[MINE] == 0
    assert metric_of(place, cut="true") == 1


def metric_of(place: Queueing, **labels: str) -> float:
    """Answers with a cap, once they are counted."""
    page = wait_until(
        lambda: plain.get(f"{place.gateway.ops_url}/metrics").text,
        lambda page: metric(page, "snowshed_capped_total") > 0,
    )
    return metric(page, "snowshed_capped_total", **labels)


def test_who_leaves_a_capped_stream_pays_for_what_was_produced(place: Queueing) -> None:
    leave(place, 500)
    wanted = named("fickle", ENDLESS, stream=True)
    with RawClient(place.gateway.url) as client:
        client.socket.sendall(request_bytes(wanted, place.headers("acme")))
        seen = b""
        while seen.count(WORD) < 10:
            seen += client.until(WORD)
    (call,) = place.wait_for_asked(1)
    place.gateway.wait_idle()
    produced = 500 - left(place)[MINE] - by_size(wanted)
    assert 10 <= produced <= call.tokens <= produced + SENT_ON


@pytest.mark.parametrize("directive", ["tokens=5000", ENDLESS], ids=["capped", "cut"])
def test_the_official_sdk_reads_a_normal_end(place: Queueing, directive: str) -> None:
    leave(place, 400)
    with plain.client() as http:
        url, key = f"{place.gateway.url}/v1", place.keys["acme"].text
        client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, http_client=http)
        wanted = named("asks", directive, stream=True, stream_options={"include_usage": True})
        chunks = list(client.chat.completions.create(**wanted))
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens - usage.prompt_tokens == usage.completion_tokens > EXPECTED


def test_it_holds_of_limits_that_gateways_share(
    fleet: SpawnedFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_valkey() as valkey:
        monkeypatch.setenv("LIMITS_STORE", valkey.url)
        shared = {"store": {"env": "LIMITS_STORE"}}
        with limited(fleet, tmp_path, plan(key=DAY, cut_answers=True), quotas=shared) as place:
            leave(place, 500)
            answer = place.ask(named("asks", "tokens=5000"), "acme").answer
            assert ends(answer) == {0: "length"}
            (call,) = place.wait_for_asked(1)
            assert EXPECTED < call.tokens == cap_of(answer) < 500

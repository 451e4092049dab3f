"""P17: whoever is over a limit is told whose and which it is, and when there is room again, which is then so."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from security.limits.api import Cost
from tests.support import plain
from tests.support.asking import body
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import Adapter, configuration, metric, running_gateway
from tests.support.limited import left, limited, plan, refused, use_up
from tests.support.queueing import Queueing, named
from tests.support.waiting import wait_until

ONE_FITS = {
    "requests_per_minute": 1,
    "input_tokens_per_minute": 33,
    "output_tokens_per_minute": 300,
    "tokens_per_minute": 400,
    "tokens_per_day": 400,
    "concurrent_requests": 1,
}
"""Of each limit as much as one request takes that is expected to be as long as nobody knows."""
CASES = [(holder, name) for at, name in enumerate(ONE_FITS) for holder in ("key", ("tenant", "model")[at % 2])]


def of(holder: str, name: str, limit: int) -> dict[str, Any]:
    """A plan with this limit alone."""
    if holder == "model":
        return plan(models=[{"model": "mock", name: limit}])
    return plan(**{holder: {name: limit}})


def spoken(holder: str, name: str, limit: int) -> str:
    """How one is called to whom it refuses."""
    whose, of_model = ("tenant", " for this model") if holder == "model" else (holder, "")
    return f"the {whose}'s limit of {limit} {name.replace('_', ' ')}{of_model}"


@contextmanager
def client(place: Queueing, max_retries: int = 0) -> Iterator[openai.OpenAI]:
    """The official one."""
    with plain.client() as http:
        url = f"{place.gateway.url}/v1"
        yield openai.OpenAI(base_url=url, api_key=place.keys["acme"].text, max_retries=max_retries, http_client=http)


@pytest.mark.parametrize(("holder", "name"), CASES)
def test_p17_it_is_told_whose_limit_it_is_and_when_there_is_room(
    fleet: SpawnedFleet, tmp_path: Path, holder: str, name: str
) -> None:
    with limited(fleet, tmp_path, of(holder, name, ONE_FITS[name])) as place:
        with place.holding(who="acme"):
            answer = place.ask(named("next"), "acme", x_client_request_id="next").answer
        message, wait = refused(answer)
        record = place.record("next")
    assert answer.error is not None
    kind = "tokens" if "tokens" in name else "requests"
    assert (answer.error["type"], answer.error["param"]) == (kind, None)
    assert message.startswith(f"Over {spoken(holder, name, ONE_FITS[name])} (")
    then = "ask again" if name == "concurrent_requests" else "there is room again"
    assert message.endswith(f"{then} in {wait:g} s.")
    assert wait > 0
    assert int(answer.headers["retry-after"]) == min(120, math.ceil(wait))
    assert "x-should-retry" not in answer.headers
    assert (record["status"], record["reason"], record["attempts"]) == (429, f"{holder}:{name}", 0)
    if name != "concurrent_requests":
        assert answer.headers[f"x-ratelimit-limit-{kind}"] == str(ONE_FITS[name])
        assert int(answer.headers[f"x-ratelimit-remaining-{kind}"]) < ONE_FITS[name]
        assert answer.headers[f"x-ratelimit-reset-{kind}"]


def test_p17_waiting_exactly_as_long_as_told_is_enough(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """A hundred times, in steps of ten milliseconds."""
    with limited(fleet, tmp_path, plan(key={"requests_per_minute": 6000})) as place:
        use_up(place, Cost(6000))
        tries = enough = 0
        while tries < 100:
            answer = place.ask(named("first"), "acme").answer
            if answer.status == 200:
                continue
            _, wait = refused(answer)
            time.sleep(wait)  # that it is not too short is what is asked
            tries += 1
            enough += place.ask(named("again"), "acme").answer.status == 200
    assert enough >= 95


def test_p17_the_official_sdk_waits_as_told_and_no_longer(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with limited(fleet, tmp_path, plan(key={"requests_per_minute": 20})) as place:
        with client(place) as once:
            use_up(place, Cost(20))
            began = time.monotonic()
            with pytest.raises(openai.RateLimitError) as caught:
                once.chat.completions.create(**body())
        error = caught.value
        assert (error.status_code, error.code, error.type) == (429, "rate_limit_exceeded", "requests")
        told = int(error.response.headers["retry-after-ms"]) / 1000
        assert 0 < told <= 3
        with client(place, max_retries=1) as patient:
            answer = patient.chat.completions.create(**body())
        assert answer.choices[0].finish_reason == "stop"
        assert 0.5 * told <= time.monotonic() - began < 10, "it would wait for half a second by itself"
    assert len(place.asked()) == 1


@pytest.mark.parametrize(
    ("holder", "name", "members"),
    [
        ("key", "input_tokens_per_minute", {"user": "x" * 8000}),
        ("tenant", "output_tokens_per_minute", {"n": 8, "max_tokens": 200}),
        ("model", "tokens_per_minute", {"n": 8, "max_tokens": 200}),
        ("tenant", "tokens_per_day", {"user": "x" * 8000}),
    ],
)
def test_what_takes_more_than_a_limit_ever_holds_need_not_come_again(
    fleet: SpawnedFleet, tmp_path: Path, holder: str, name: str, members: dict[str, Any]
) -> None:
    with limited(fleet, tmp_path, of(holder, name, 1000)) as place:
        answer = place.ask(named("large", **members), "acme").answer
        assert answer.status == 400, answer.raw
        assert answer.error is not None
        assert (answer.error["code"], answer.error["type"]) == ("request_over_limit", "invalid_request_error")
        told = re.search(r"takes (\d+) at once, more than (.+) ever allows; .*(prompt|n)\.$", answer.error["message"])
        assert told is not None, answer.error["message"]
        assert int(told[1]) > 1000
        assert told[2] == spoken(holder, name, 1000)
        assert "retry-after" not in answer.headers
        assert left(place) == {f"{holder}:{name}": 1000}
        with client(place, max_retries=2) as sdk, pytest.raises(openai.BadRequestError):
            sdk.chat.completions.create(**named("large", **members))
        assert place.asked() == []


@pytest.mark.parametrize("answers", [1, 2])
@pytest.mark.parametrize("name", ["output_tokens_per_minute", "tokens_per_day"])
def test_who_names_no_cap_is_not_expected_to_take_more_than_there_ever_is(
    fleet: SpawnedFleet, tmp_path: Path, name: str, answers: int
) -> None:
    """Even before anything is known of answers, which are then expected to have 256 tokens."""
    with limited(fleet, tmp_path, plan(key={name: 60})) as place:
        assert place.ask(named("free", n=answers), "acme").told == (200, "")
        assert place.ask(named("capped", n=answers, max_tokens=61), "acme").told == (400, "request_over_limit")


def test_what_it_takes_beyond_that_is_a_debt(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with limited(fleet, tmp_path, plan(key={"tokens_per_day": 200})) as place:
        assert place.ask(named("long", "tokens=300"), "acme").told == (200, "")
        place.gateway.wait_idle()
        _, wait = refused(place.ask(named("next"), "acme").answer)
    assert wait > (300 + 1) * 86_400 / 200 * 0.99, "for all of it, and for what it asks itself"


def test_an_image_is_not_refused_for_its_bytes(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """A megabyte of them would be a quarter of a million tokens, were they text."""
    url = {"url": f"data:image/png;base64,{'A' * 2**20}"}
    parts = [{"type": "text", "text": "What is this? @@tokens=2@@"}, {"type": "image_url", "image_url": url}]
    wanted = body(messages=[{"role": "user", "content": parts}])
    with limited(fleet, tmp_path, plan(key={"input_tokens_per_minute": 2000})) as place:
        assert place.ask(wanted, "acme").told == (200, "")


BOUND = {"requests_per_minute": 600, "tokens_per_minute": 100_000}
ANSWERS = {
    200: "tokens=2",
    400: "fault=status,status=400",
    502: "fault=status,status=500",
    503: "fault=status,status=503",
}
NAMES = [f"x-ratelimit-{what}-{kind}" for kind in ("requests", "tokens") for what in ("limit", "remaining", "reset")]


@pytest.mark.parametrize("adapter", ["front_door", "asgi"])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("status", ANSWERS)
def test_every_answer_says_how_the_limits_stand(
    fleet: SpawnedFleet, status: int, adapter: Adapter, *, stream: bool
) -> None:
    """Also where nobody is asked for a key: all callers are one."""
    tree = configuration(fleet.urls, quotas={"plans": [plan(key=BOUND)]})
    with running_gateway(tree, adapter) as gateway, gateway.client() as http:
        answer = http.post("/v1/chat/completions", json=body(ANSWERS[status], stream=stream, max_tokens=50))
        assert answer.status_code == status
        assert [name for name in answer.headers if name.startswith("x-ratelimit")] == NAMES
        assert answer.headers["x-ratelimit-limit-requests"] == "600"
        assert answer.headers["x-ratelimit-remaining-requests"] == "599"
        assert 100_000 - 50 - 60 < int(answer.headers["x-ratelimit-remaining-tokens"]) < 100_000 - 50
        gateway.wait_idle()


@pytest.mark.parametrize("adapter", ["front_door", "asgi"])
def test_refusals_are_counted_and_never_reach_a_model_server(fleet: SpawnedFleet, adapter: Adapter) -> None:
    fleet.replicas[0].reset()
    tree = configuration(fleet.urls, quotas={"plans": [plan(tenant={"requests_per_minute": 2})]})
    with running_gateway(tree, adapter) as gateway, gateway.client() as http:
        told = [http.post("/v1/chat/completions", json=body()).status_code for _ in range(5)]
        assert told == [200, 200, 429, 429, 429]
        page = wait_until(
            lambda: plain.get(f"{gateway.ops_url}/metrics").text,
            lambda page: metric(page, "snowshed_over_limit_total", holder="tenant", enforced="true") == 3,
        )
    assert metric(page, "snowshed_over_limit_total", limit="requests_per_minute") == 3
    assert metric(page, "snowshed_limit_store_up") == 1
    assert len(fleet.replicas[0].calls()) == 2

"""P17: whatever a request is refused for, its caller is told when to come back, in a way that their SDK understands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support import plain
from tests.support.asking import sdk
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.queueing import Queueing, named, queueing, served
from tests.support.talk import Answer, Talk, chat, request
from tests.support.waiting import wait_until

OTHER = {"name": "other", "engine": "scripted"}
"""A model for which nobody waits: with it the gate lets everybody in, and it is the queue that refuses."""
DIRECTED = "@@tokens=2@@"


def check(answer: Answer, code: str, says: str, *, precise: bool) -> None:
    """A refusal that can be acted upon: whole seconds of a size that SDKs heed, and milliseconds if it knows them."""
    assert (answer.status, answer.error["code"], answer.error["type"]) == (503, code, "server_error")
    assert says in answer.error["message"]
    seconds = int(answer.headers["retry-after"])
    assert 1 <= seconds <= 120
    assert ("retry-after-ms" in answer.headers) == precise
    if precise:
        assert seconds == math.ceil(int(answer.headers["retry-after-ms"]) / 1000)


def refused(place: Queueing, *fields: bytes, words: str = DIRECTED) -> Answer:
    with Talk(place.gateway.url) as talk:
        return talk.ask(request(chat(words), *fields))


def reasons(place: Queueing) -> set[str]:
    """For operators: why those who were refused were, as their records say."""
    return wait_until(lambda: {line["reason"] for line in place.records() if line["code"] == "overloaded"})


@pytest.fixture(params=["queue", "gate"])
def models(request: pytest.FixtureRequest, fleet: SpawnedFleet) -> list[dict[str, Any]]:
    """What is asked is refused in the queue, or before the body is read: told is the same."""
    return [served(fleet.urls), *([OTHER] if request.param == "queue" else [])]


def test_a_queue_that_is_full(fleet: SpawnedFleet, models: list[dict[str, Any]], tmp_path: Path) -> None:
    with queueing(fleet, tmp_path, *models, admission={"queue": 1}) as place:
        with place.holding():
            waiting = place.lining_up(named("first"))
            check(refused(place), "overloaded", "too many requests wait", precise=True)
            assert reasons(place) == {"queue_full"}
        assert waiting.result().told == (200, "")


def test_a_queue_of_which_a_tenant_has_its_share(
    fleet: SpawnedFleet, models: list[dict[str, Any]], tmp_path: Path
) -> None:
    share: dict[str, Any] = {"tenants": {"one": {}}, "admission": {"queue": 8, "tenant_share": 0.25}}
    with queueing(fleet, tmp_path, *models, **share) as place:
        key = b"Authorization: Bearer " + place.keys["one"].text.encode()
        with place.holding(who="one"):
            waiting = [place.lining_up(named("mine"), "one") for _ in range(2)]
            check(refused(place, key), "overloaded", "of this caller's requests", precise=True)
            assert reasons(place) == {"tenant_full"}
        assert [one.result().told for one in waiting] == [(200, "")] * 2


def test_where_nobody_has_a_key_there_is_one_queue_for_all(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(fleet, tmp_path, admission={"queue": 8, "tenant_share": 0.25}) as place:
        with place.holding():
            waiting = [place.lining_up(named("anybody")) for _ in range(8)]
            check(refused(place), "overloaded", "too many requests wait", precise=True)
        assert [one.result().told for one in waiting] == [(200, "")] * 8


def test_a_wait_that_would_be_too_long(fleet: SpawnedFleet, models: list[dict[str, Any]], tmp_path: Path) -> None:
    """A request takes half a second, as the first one shows: of those that come then, some would wait for too long."""
    within = {"standard": "5s"}
    with queueing(fleet, tmp_path, *models, admission={"start_within": within}) as place:
        assert place.ask(named("first", "service_ms=500")).told == (200, "")
        place.wait_until_it_can_tell()
        with place.holding():
            waiting = [place.lining_up(named("early")) for _ in range(3)]
            waiting += [place.asking(named("later")) for _ in range(20)]
            wait_until(lambda: any(one.done() for one in waiting))
            answer = refused(place)
            check(answer, "overloaded", "would have to wait for too long", precise=True)
            assert reasons(place) == {"too_long"}
            assert int(answer.headers["retry-after-ms"]) >= 4000
            assert "x-should-retry" not in answer.headers
        told = [one.result().told for one in waiting]
        assert set(told) == {(200, ""), (503, "overloaded")}
        assert told[:3] == [(200, "")] * 3


def test_a_wait_that_was_too_long(fleet: SpawnedFleet, models: list[dict[str, Any]], tmp_path: Path) -> None:
    """Nothing has ended yet, so nobody could know. It is not to be asked again at once: it has cost its wait."""
    within = {"standard": "200ms"}
    with queueing(fleet, tmp_path, *models, admission={"start_within": within}) as place, place.holding():
        answer = refused(place)
        check(answer, "overloaded", "has waited for too long", precise=True)
        assert reasons(place) == {"too_late"}
        assert answer.headers["x-should-retry"] == "false"
        assert place.asked() == []


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    limits = {"body": "64KiB", "bodies": "64KiB", "connections": 3}
    with queueing(fleet, tmp_path, served(fleet.urls, 8), limits=limits) as made:
        yield made


def test_the_official_sdk_comes_back_when_it_was_told_to(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(fleet, tmp_path, admission={"queue": 0}) as place, sdk(place.gateway.url, max_retries=5) as client:
        refused = place.admission().refused

        def ask_again_and_again() -> str | None:
            content: str | None = client.chat.completions.create(**named("steady")).choices[0].message.content
            return content

        with place.holding():
            answering = place.threads.submit(ask_again_and_again)
            wait_until(lambda: refused[("queue_full", 1)])
        assert answering.result()
        assert refused.total() <= 2, "it waits between its tries"


def test_the_official_sdk_does_not_come_back_when_its_wait_was_in_vain(fleet: SpawnedFleet, tmp_path: Path) -> None:
    within = {"start_within": {"standard": "200ms"}}
    with (
        queueing(fleet, tmp_path, admission=within) as place,
        sdk(place.gateway.url, max_retries=5) as client,
        place.holding(),
    ):
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(**named("hasty"))
        assert (caught.value.status_code, caught.value.code) == (503, "overloaded")
        assert place.admission().refused.total() == 1


class Full:
    """Readings of a process that is short of memory."""

    def worked(self) -> float:
        return 0.0

    def memory(self) -> float:
        return 0.9

    def most_files(self) -> int:
        return 1000

    def files(self) -> float:
        return 0.1


def test_a_gateway_that_protects_itself(place: Queueing) -> None:
    protection = place.gateway.objects.edge.protection
    with place.holding():
        protection.vitals = Full()
        wait_until(lambda: protection.reason)
        check(refused(place), "overloaded", "memory", precise=True)
        assert reasons(place) == {"memory"}


def test_a_gateway_that_is_shutting_down(place: Queueing) -> None:
    traffic = place.gateway.objects.edge.traffic
    traffic.closed = True
    check(refused(place), "draining", "shutting down", precise=False)


def test_bodies_that_are_too_much_together(place: Queueing) -> None:
    with place.holding(user="x" * 50_000):
        check(refused(place, words="x" * 50_000), "overloaded", "too many request bodies", precise=False)
        assert reasons(place) == {"bodies"}
        assert metric(plain.get(f"{place.gateway.ops_url}/metrics").text, "snowshed_bodies_refused_total") == 1


def test_too_many_connections(place: Queueing) -> None:
    edge = place.gateway.objects.edge
    with place.holding(3), Talk(place.gateway.url) as one_more:
        (answer,), how = one_more.ending()
        check(answer, "too_many_connections", "too many connections", precise=False)
        assert how == "eof"
    place.gateway.wait_until(lambda: not edge.traffic.live)


def test_a_model_without_a_replica(place: Queueing) -> None:
    upstreams = place.gateway.objects.upstreams
    place.gateway.run(lambda: upstreams.drain("mock-0"))
    check(refused(place), "no_replica", "no replica", precise=False)


@pytest.mark.parametrize(("said", "told"), [("", "1"), ("7", "7"), ("0", "1"), ("86400", "120"), ("soon", "1")])
def test_an_upstream_that_pushes_back(place: Queueing, said: str, told: str) -> None:
    answer = refused(place, words=f"@@fault=status,status=503,retry_after={said}@@")
    check(answer, "upstream_overloaded", "", precise=False)
    assert answer.headers["retry-after"] == told


@contextmanager
def busy_with_small_ones(place: Queueing, stopped: Callable[[], bool]) -> Iterator[None]:
    """Callers of another tenant who always find room, one after the other, until it is `stopped`."""

    def go_on() -> None:
        while not stopped():
            place.ask(named("small", "service_ms=50", max_tokens=1), "many")

    callers = [place.threads.submit(go_on) for _ in range(3)]
    yield
    for caller in callers:
        caller.result()


@pytest.mark.parametrize("limit", ["prompt_tokens", "kv_tokens"])
def test_a_prompt_that_fits_no_limit_is_served_by_itself(fleet: SpawnedFleet, limit: str, tmp_path: Path) -> None:
    """Small ones that go on coming must not keep it out, nor must it be refused for ever."""
    limits = {"requests": 2, limit: 500}
    with queueing(fleet, tmp_path, served(fleet.urls, limits=limits), tenants={"many": {}, "one": {}}) as place:
        over: list[bool] = []
        with busy_with_small_ones(place, lambda: bool(over)):
            wait_until(place.asked, lambda calls: len(calls) > 4)
            try:
                heard = place.ask(named("big", "service_ms=200", user="x" * 8000), "one")
            finally:
                over.append(True)
        assert heard.told == (200, "")
        calls = place.asked()
        (alone,) = [call for call in calls if "big" in call.body["messages"][0]["content"]]
        beside = [
            call
            for call in calls
            if call is not alone and call.start < (alone.end or 0) and (call.end or math.inf) > alone.start
        ]
        assert beside == []

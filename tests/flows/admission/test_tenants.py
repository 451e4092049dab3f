"""P42: tenants share what there is by their weights, in tokens: whoever asks for much, others wait no longer for it."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from pathlib import Path

from tests.support.fleet import SpawnedFleet
from tests.support.queueing import Queueing, named, names, queueing

LONG_ONES = 12
"""Callers of the tenant with the long prompts."""


def test_p42_long_prompts_of_one_tenant_keep_another_s_short_ones_no_longer_waiting(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    """On the only place, a dozen long prompts wait at any time, and have less time: all of them would come first."""
    with queueing(fleet, tmp_path, tenants={"long": {}, "short": {}}) as place:
        over = threading.Event()
        seconds: list[float] = []

        def go_on() -> None:
            while not over.is_set():
                wanted = named("long", "service_ms=100", user="x" * 32_000)
                assert place.ask(wanted, "long", x_request_timeout_ms="30000").told == (200, "")

        callers = [place.threads.submit(go_on) for _ in range(LONG_ONES)]
        place.gateway.wait_until(lambda: place.waiting() == LONG_ONES - 1)
        for _ in range(10):
            heard = place.ask(named("short", "service_ms=10"), "short")
            assert heard.told == (200, "")
            seconds.append(heard.seconds)
        over.set()
        for one in callers:
            one.result()
        order = names(place.asked())
    turns = [at for at, name in enumerate(order) if name == "short"]
    assert len(turns) == 10
    between = [later - earlier - 1 for earlier, later in itertools.pairwise(turns)]
    assert sorted(between)[len(between) // 2] <= 3, "long ones served from one short one to the next"
    assert sorted(seconds)[len(seconds) // 2] < LONG_ONES * 0.1


def lined_up(place: Queueing, number: int, *tenants: str) -> list[str]:
    """So many of each wait, one tenant's after the other's, for the only place; in which order they get it."""
    with place.holding(who=tenants[0]):
        answers = [place.lining_up(named(who), who) for who in tenants for _ in range(number)]
    assert {one.result().told for one in answers} == {(200, "")}
    return names(place.wait_for_asked(number * len(tenants)))


def test_tenants_share_by_their_weights_whoever_came_first(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(fleet, tmp_path, tenants={"one": {}, "two": {"weight": 2}, "four": {"weight": 4}}) as place:
        order = lined_up(place, 16, "one", "two", "four")
        for turns in (7, 14, 28):
            served = Counter(order[:turns])
            expected = {"one": turns // 7, "two": 2 * turns // 7, "four": 4 * turns // 7}
            assert all(abs(served[who] - share) <= 1 for who, share in expected.items()), served


def test_many_of_one_tenant_do_not_delay_the_few_of_another(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(fleet, tmp_path, tenants={"hog": {}, "meek": {}}) as place:
        with place.holding(who="hog"):
            many = [place.lining_up(named("hog"), "hog") for _ in range(30)]
            few = [place.lining_up(named("meek"), "meek") for _ in range(3)]
        assert {one.result().told for one in (*many, *few)} == {(200, "")}
        order = names(place.wait_for_asked(33))
    assert max(at for at, name in enumerate(order) if name == "meek") <= 6


def test_a_tenant_that_has_its_share_of_the_queue_leaves_the_rest_to_the_others(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    tenants: dict[str, dict[str, int]] = {"hog": {}, "meek": {}}
    with queueing(fleet, tmp_path, tenants=tenants, admission={"queue": 16, "tenant_share": 0.25}) as place:
        with place.holding(who="hog"):
            many = [place.lining_up(named("hog"), "hog") for _ in range(4)]
            refused = place.ask(named("hog"), "hog")
            assert refused.told == (503, "overloaded")
            assert "of this caller's requests" in refused.answer.document["error"]["message"]
            few = [place.lining_up(named("meek"), "meek") for _ in range(4)]
        assert {one.result().told for one in (*many, *few)} == {(200, "")}


def test_the_bytes_of_what_waits_are_bounded_too(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(fleet, tmp_path, admission={"queue": 1000, "queue_bytes": "64KiB"}) as place:
        with place.holding():
            waiting = [place.lining_up(named("waiting", user="x" * 20_000)) for _ in range(3)]
            refused = place.ask(named("next", user="x" * 20_000))
            assert refused.told == (503, "overloaded")
            assert "too many requests wait" in refused.answer.document["error"]["message"]
            waiting.append(place.lining_up(named("small")))
        assert {one.result().told for one in waiting} == {(200, "")}


def test_of_one_tenant_s_requests_the_one_with_the_least_time_comes_first(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(fleet, tmp_path) as place:
        with place.holding():
            waiting = [place.lining_up(named("calm"))]
            waiting += [
                place.lining_up(named(f"within-{seconds}"), x_request_timeout_ms=f"{seconds}000")
                for seconds in (50, 30, 40)
            ]
        assert {one.result().told for one in waiting} == {(200, "")}
        assert names(place.wait_for_asked(4)) == ["within-30", "within-40", "within-50", "calm"]

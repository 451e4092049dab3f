"""What a replica may have at a time, as its server counts it: requests, prompt tokens, tokens in all, by class."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.fleet import LoggedCall, SpawnedFleet
from tests.support.queueing import Queueing, named, names, queueing, served
from tests.support.waiting import wait_until

ROOMY = 64
"""Slots of the server: it would take all that come."""


def most_at_once(calls: Sequence[LoggedCall]) -> int:
    """Calls that the server had at the same time."""
    return max(sum(other.start <= one.start < (other.end or one.start) for other in calls) for one in calls)


def test_no_replica_gets_more_requests_than_it_may_have(pair: SpawnedFleet, tmp_path: Path) -> None:
    """Thirty come at once to two replicas with two places each."""
    with queueing(pair, tmp_path, served(pair.urls, 2)) as place:
        for replica in pair.replicas:
            replica.set(slots=ROOMY)
        answers = [place.asking(named(f"n{number}", "service_ms=50")) for number in range(30)]
        assert [one.result().told for one in answers] == [(200, "")] * 30
        assert [replica.stats()["peak_running"] for replica in pair.replicas] == [2, 2]
        assert [most_at_once(replica.calls()) for replica in pair.replicas] == [2, 2]


def test_prompts_beyond_the_limit_wait_until_others_have_begun_to_answer(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """Two long prompts of some 1000 tokens each: the second one is sent once the first has its first token."""
    limits = {"requests": 8, "prompt_tokens": 1500}
    with queueing(fleet, tmp_path, served(fleet.urls, limits=limits)) as place:
        place.upstream.set(slots=ROOMY)
        directive = "tokens=150,ttft_ms=300,delay_ms=20"
        pair = [place.asking(named(f"n{number}", directive, stream=True, user="x" * 4000)) for number in range(2)]
        assert [one.result().answer.done for one in pair] == [True, True]
        first, second = place.asked()
        assert first.first is not None
        assert first.end is not None
        assert first.first <= second.start < first.end


def test_tokens_beyond_the_limit_wait_until_others_have_ended(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """A thousand tokens are room for two answers of 400, not for three."""
    limits = {"requests": 8, "kv_tokens": 1000}
    with queueing(fleet, tmp_path, served(fleet.urls, limits=limits)) as place:
        place.upstream.set(slots=ROOMY)
        answers = [place.asking(named(f"n{number}", "service_ms=200", max_tokens=400)) for number in range(6)]
        assert [one.result().told for one in answers] == [(200, "")] * 6
        assert most_at_once(place.asked()) <= 3  # the first ones' answers were expected to be of 256 tokens
        assert place.upstream.stats()["peak_running"] < 6


TENANTS = {"urgent": {"priority": 1}, "usual": {}, "idle": {"priority": -1}}


def test_a_part_of_each_limit_is_kept_for_the_classes_above(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """Of twenty places 3 are not for batch, and 1 is not for standard."""
    with queueing(fleet, tmp_path, served(fleet.urls, 20), tenants=TENANTS) as place:
        place.upstream.set(slots=ROOMY)
        assert filled_by(place, "idle") == 17
        assert filled_by(place, "usual") == 19
        assert filled_by(place, "urgent") == 20


def filled_by(place: Queueing, who: str) -> int:
    """How many places are taken when a class has as many as it gets; of 25 who ask for one."""
    with place.holding(16, who):
        answers = [place.asking(named(who, "service_ms=1000"), who) for _ in range(9)]
        full = wait_until(lambda: (place.in_flight, place.waiting()), lambda seen: sum(seen) == 25)
    assert [one.result().told for one in answers] == [(200, "")] * 9
    place.gateway.wait_idle()
    return full[0]


def test_a_big_one_is_passed_by_small_ones_for_a_while_and_then_kept_a_place(
    pair: SpawnedFleet, tmp_path: Path
) -> None:
    """Small ones of another tenant come without end; one of the two replicas is left to the big one in time."""
    limits = {"requests": 4, "kv_tokens": 1000}
    with queueing(pair, tmp_path, served(pair.urls, limits=limits), tenants={"many": {}, "one": {}}) as place:
        for replica in pair.replicas:
            replica.set(slots=ROOMY)
        over: list[float] = []

        def go_on() -> None:
            while not over:
                small = named("small", "service_ms=100,tokens=200", max_tokens=200)
                assert place.ask(small, "many").told == (200, "")

        crowd = [place.threads.submit(go_on) for _ in range(12)]
        wait_until(lambda: place.waiting() > 0)
        asked = time.monotonic()
        big = place.ask(named("big", user="x" * 3600, max_tokens=8), "one")
        over.append(time.monotonic())
        for one in crowd:
            one.result()
        assert big.told == (200, "")
        calls = place.asked()
        (own,) = [call for call in calls if names([call]) == ["big"]]
        passed = [call for call in calls if names([call]) == ["small"] and asked < call.start < own.start]
        assert passed, "others go first where it does not fit"
        assert big.seconds < 10


def test_who_fits_passes_one_that_does_not(pair: SpawnedFleet, tmp_path: Path) -> None:
    """Each of two replicas has something, and the big one needs one for itself: it is kept one of them, not both."""
    limits = {"requests": 4, "kv_tokens": 1000}
    with queueing(pair, tmp_path, served(pair.urls, limits=limits), tenants={"many": {}, "one": {}}) as place:
        with place.holding(2, "many", max_tokens=100):
            big = place.lining_up(named("big", user="x" * 3600, max_tokens=8), "one")
            small = [place.ask(named("small", max_tokens=8), "many") for _ in range(3)]
            assert [one.told for one in small] == [(200, "")] * 3
            assert not big.done()
        assert big.result().told == (200, "")


def test_a_place_that_is_kept_for_a_big_one_is_not_kept_from_the_classes_above(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    """Else the urgent would wait until what runs has ended, and the big one, too."""
    limits = {"requests": 8, "kv_tokens": 1000}
    with queueing(fleet, tmp_path, served(fleet.urls, limits=limits), tenants=TENANTS) as place:
        place.upstream.set(slots=ROOMY)
        with place.holding(who="usual", max_tokens=100):
            big = place.lining_up(named("big", user="x" * 3600, max_tokens=16), "idle")
            wait_until(lambda: place.admission().pool.reserved)
            small = place.asking(named("small", max_tokens=16), "idle")
            place.wait_for_queue(2)
            urgent = place.ask(named("urgent", max_tokens=16), "urgent", x_request_timeout_ms="10000")
            assert urgent.told == (200, "")
            assert (place.waiting(), big.done(), small.done()) == (2, False, False)
        assert (big.result().told, small.result().told) == ((200, ""), (200, ""))

"""How much a replica may have: as set, as said, or as suits most; less for lower classes, and in trouble."""

from __future__ import annotations

import pytest

from engines.api import Capacity
from router.api import Rank, Replica
from router.limits import Limits, Room, has_room, limits_of
from router.standing import Standing
from tests.support.choosing import SaysLoad
from tests.support.gates import Noted


@pytest.mark.parametrize(
    ("set_for_it", "said", "limits"),
    [
        (Capacity(), None, Limits()),
        (Capacity(), Capacity(requests=8), Limits(requests=8)),
        (Capacity(requests=4, kv_tokens=9), Capacity(requests=8, prompt_tokens=7), Limits(4, 7, 9)),
    ],
)
def test_what_is_set_counts_before_what_is_said(set_for_it: Capacity, said: Capacity | None, limits: Limits) -> None:
    assert limits_of(set_for_it, said) == limits


@pytest.mark.parametrize(
    ("requests", "share", "places"),
    [
        (8, 1.0, (8, 8, 7)),
        (20, 1.0, (20, 19, 17)),
        (1, 1.0, (1, 1, 1)),
        (8, 0.9025, (8, 8, 7)),  # one failure of twenty
        (8, 0.25, (2, 2, 2)),
        (8, 0.05, (1, 1, 1)),
    ],
)
def test_places_are_whole_ones_and_there_is_always_one(
    requests: int, share: float, places: tuple[int, int, int]
) -> None:
    assert tuple(room.requests for room in Limits(requests=requests).by_rank(share)) == places


def test_tokens_are_in_proportion() -> None:
    assert Limits(10, 1000, 2000).by_rank(0.5)[1] == Room(5, 475.0, 950.0)


@pytest.mark.parametrize(
    ("rank", "prompt", "tokens", "fits"),
    [
        (0, 40, 40, True),
        (0, 41, 41, False),  # prompts of 60 are without content
        (1, 38, 38, False),
        (0, 40, 101, False),  # and 900 tokens under way
    ],
)
def test_a_request_fits_beside_what_is_there(rank: Rank, prompt: int, tokens: int, fits: bool) -> None:
    replica = Replica("r", SaysLoad())
    replica.room = Limits(3, 100, 1000).by_rank(1.0)
    replica.active[Noted()] = 1.0
    replica.prompts, replica.tokens = 60, 900
    notes = Noted(tokens, rank=rank)
    notes.prompt = prompt
    assert has_room(replica, notes) is fits


def test_an_idle_replica_takes_what_nobody_else_could_either() -> None:
    replica = Replica("r", SaysLoad())
    replica.room = Limits(1, 1, 1).by_rank(1.0)
    assert has_room(replica, Noted(10**6))
    replica.active[Noted()] = -1.0
    assert not has_room(replica, Noted())


def test_one_prompt_at_a_time_may_be_longer_than_all_may_be_together() -> None:
    replica = Replica("r", SaysLoad())
    replica.room = Limits(8, 100, 10**6).by_rank(1.0)
    replica.active[Noted()] = -1.0  # answering
    assert has_room(replica, Noted(5000))
    replica.prompts = 5000
    assert not has_room(replica, Noted(10))


def test_what_others_have_there_counts() -> None:
    replica = Replica("r", SaysLoad())
    replica.room = Limits(8, 1000, 1000).by_rank(1.0)
    replica.active[Noted()] = -1.0
    replica.others = 995.0
    assert not has_room(replica, Noted(10))


def test_limits_are_worked_out_anew_only_when_the_engine_says_something_else() -> None:
    engine = SaysLoad()
    engine.capacity = Capacity(requests=8)
    replica, standing = Replica("r", engine), Standing()
    standing.heed((replica,), Capacity(), anew=True)
    before = replica.room
    engine.capacity = Capacity(requests=8)  # the same, in other words
    standing.heed((replica,), Capacity())
    assert replica.room is before
    engine.capacity = Capacity(requests=9)
    standing.heed((replica,), Capacity())
    assert replica.limits.requests == 9

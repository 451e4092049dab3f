"""A replica is known again by all that it was made of, and has a name that no other one has."""

from __future__ import annotations

from time import thread_time

import pytest

from tests.support.upstreams import NotingMaker, configured, model


def named(maker: NotingMaker, *models: dict[str, object]) -> dict[str, list[str]]:
    homes = maker.homes(configured(*models).models, {})
    return {label: [replica.name for replica in home] for label, home in homes.items()}


def test_order_and_number_follow_the_configuration_and_names_the_replica() -> None:
    maker = NotingMaker()
    assert named(maker, model("a", "b", "c")) == {"m@1": ["m-0", "m-1", "m-2"]}
    assert named(maker, model("c", "d", "a")) == {"m@1": ["m-2", "m-3", "m-0"]}
    assert len(maker.replicas) == 4  # b is known until it is forgotten
    assert named(maker, model("b")) == {"m@1": ["m-1"]}


def test_equal_ones_are_so_many_replicas() -> None:
    maker = NotingMaker()
    assert named(maker, model("a", "a")) == {"m@1": ["m-0", "m-1"]}
    assert named(maker, model("a", "a", "a")) == {"m@1": ["m-0", "m-1", "m-2"]}
    assert named(maker, model("a")) == {"m@1": ["m-0"]}


@pytest.mark.parametrize("change", [{"upstream": "other"}, {"version": "2"}, {"name": "n"}])
def test_what_makes_another_replica(change: dict[str, str]) -> None:
    maker = NotingMaker()
    named(maker, model("a"))
    named(maker, {**model("a"), **change})
    assert len(maker.replicas) == 2


@pytest.mark.parametrize("change", [{"weight": 5}, {"max_tokens": 5}, {"policy": "round_robin"}])
def test_what_does_not(change: dict[str, object]) -> None:
    maker = NotingMaker()
    named(maker, model("a"))
    named(maker, {**model("a"), **change})
    assert len(maker.replicas) == 1


def test_a_forgotten_one_is_made_again_under_its_old_name() -> None:
    maker = NotingMaker()
    homes = maker.homes(configured(model("a")).models, {})
    maker.forget(homes["m@1"][0])
    assert named(maker, model("a")) == {"m@1": ["m-0"]}
    assert maker.replicas[0] is not homes["m@1"][0]


def test_what_thousands_cost_grows_with_their_number_alone() -> None:
    """It is the loop's time, also of those that an admin's one request asks for: half a minute, if it grew squarely."""
    maker = NotingMaker()
    config = configured(model(*(["a"] * 4000), *map(str, range(4000))))
    began = thread_time()
    first = maker.homes(config.models, {})
    assert maker.homes(config.models, {}) == first
    assert thread_time() - began < 5

"""A heap whose things may be moved and taken out."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from router.heap import Heap


def heap(**numbers: float) -> Heap[str]:
    made: Heap[str] = Heap()
    for thing, number in numbers.items():
        made.put(thing, number)
    return made


def test_the_lowest_number_comes_first() -> None:
    assert heap(a=3, b=1, c=2).first == "b"


def test_an_empty_one_has_no_first() -> None:
    empty = heap()
    assert not empty
    assert list(empty) == []
    with pytest.raises(IndexError):
        _ = empty.first


def test_all_come_in_order_and_those_of_the_same_number_as_they_were_put() -> None:
    assert list(heap(a=2, b=1, c=2, d=1, e=0)) == ["e", "b", "d", "a", "c"]


def test_who_is_put_again_moves_behind_those_of_the_same_number() -> None:
    three = heap(a=1, b=1, c=2)
    three.put("a", 1)
    assert list(three) == ["b", "a", "c"]
    three.put("c", 0)
    assert list(three) == ["c", "b", "a"]
    assert len(three) == 3


def test_who_is_discarded_is_gone() -> None:
    two = heap(a=1, b=2)
    assert two.discard("a")
    assert not two.discard("a")
    assert "a" not in two
    assert list(two) == ["b"]


def test_it_agrees_with_sorting_whatever_happens() -> None:
    random = Random(1)
    made: Heap[int] = Heap()
    numbers: dict[int, tuple[float, int]] = {}
    for step in range(3000):
        thing = random.randrange(60)
        if random.random() < 0.6:
            number = random.randrange(20)
            made.put(thing, number)
            numbers[thing] = (number, step)
        else:
            assert made.discard(thing) == (numbers.pop(thing, None) is not None)
        assert list(made) == sorted(numbers, key=lambda thing: numbers[thing])


def test_only_as_many_are_looked_at_as_are_wanted() -> None:
    made: Heap[int] = Heap()
    for thing in range(100_000):
        made.put(thing, -thing)
    assert list(islice(made, 3)) == [99_999, 99_998, 99_997]


def test_it_says_how_many_there_are() -> None:
    assert repr(heap(a=1, b=2)) == "<Heap of 2>"

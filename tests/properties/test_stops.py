"""P41: stop strings split over chunks are never said, and found as one does who looks after each character."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from engines.text.stops import Stops
from tests.properties.chunking import cut, places

LETTERS = st.text("ab\n<", max_size=30)
STOPS = st.lists(st.text("ab\n<", min_size=1, max_size=6), max_size=4)


def oracle(text: str, stops: list[str]) -> tuple[str, str | None]:
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            longest = max(found, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(LETTERS, STOPS, places)
@example("aab", ["ab"], [1, 2])
@example("abcd", ["abcd", "bc"], [])
def test_p41_whatever_the_chunks(text: str, stops: list[str], where: Sequence[int]) -> None:
    machine = Stops(stops)
    said = "".join([machine.feed(piece) for piece in cut(text, where)]) + machine.flush()
    assert (said, machine.hit) == oracle(text, stops)


@given(LETTERS, STOPS, places)
def test_p41_what_is_held_is_what_could_become_a_stop(text: str, stops: list[str], where: Sequence[int]) -> None:
    machine = Stops(stops)
    seen = said = ""
    for piece in cut(text, where):
        seen += piece
        said += machine.feed(piece)
        if machine.hit is not None:
            break
        held = [n for n in range(len(seen) + 1) if any(stop.startswith(seen[len(seen) - n :]) for stop in stops)]
        assert seen == said + seen[len(seen) - max(held, default=0) :]

"""A text or its bytes cut into pieces, however: what every streaming machine must be blind to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T", str, bytes)


def cut(whole: T, places: Sequence[int]) -> list[T]:
    """The pieces of `whole` between the places, each taken modulo its length; some of them may be empty."""
    at = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    return [whole[start:end] for start, end in pairwise(at)] or [whole]


places: st.SearchStrategy[Sequence[int]] = st.lists(st.integers(0, 10_000), max_size=12) | st.just(range(10_001))
"""Where to cut: here and there, or everywhere."""

"""Breaking up control tokens: whatever they are, none is left, and nothing else is changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engines.text.turns import SLICE, Takes, Turns, size

TOKENS = st.sets(st.text("ab<|>", min_size=1, max_size=5), max_size=6)


@given(tokens=TOKENS, text=st.text("ab<|>", max_size=40))
def test_no_token_is_left_and_nothing_else_is_changed(tokens: set[str], text: str) -> None:
    turns = Turns(tokens, Takes())
    harmless = turns.harmless(text)
    assert harmless.replace("\u200b", "") == text
    assert not [token for token in tokens if len(token) > 1 and token in harmless]
    if not any(token in text for token in tokens if len(token) > 1):
        assert harmless is text


@given(before=st.integers(SLICE - 12, SLICE + 1), times=st.integers(1, 3))
def test_a_token_across_two_slices_is_found_once(before: int, times: int) -> None:
    text = "x" * before + "<|im_end|>" * times + "y" * SLICE
    harmless = Turns({"<|im_end|>"}, Takes()).harmless(text)
    assert harmless == text.replace("<|im_end|>", "<\u200b|im_end|>")


def test_keys_and_all_that_is_inside_are_looked_at() -> None:
    turns = Turns({"</s>"}, Takes())
    assert turns.harmless({"</s>": ["</s>", {"a": "</s>"}, 1, None, True]}) == {
        "<\u200b/s>": ["<\u200b/s>", {"a": "<\u200b/s>"}, 1, None, True]
    }


def test_size_counts_texts_and_values_and_stops_where_it_is_enough() -> None:
    assert size("x" * 100, 1000) == 116
    assert size({"key": ["x" * 10, None, 1]}, 1000) == 5 * 16 + 3 + 10
    assert 1000 < size([{}] * 10**6, 1000) < 1100

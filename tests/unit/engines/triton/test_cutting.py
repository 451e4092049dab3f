"""A text that only the gateway can end at its cap: where it is cut, and what is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.triton.cutting import SLICE, Cut


def words(text: str) -> int:
    return len(text.split())


def unknown(_text: str) -> None:
    return None


def taken(cut: Cut, *pieces: str, told: int | None = None) -> list[tuple[str, int]]:
    return [cut.take(piece, told) for piece in pieces]


def test_pieces_fit_until_one_does_not() -> None:
    cut = Cut(5, words)
    assert taken(cut, "The quick", " brown") == [("The quick", 2), (" brown", 1)]
    assert not cut.full
    assert taken(cut, " fox jumps over it") == [(" fox jumps ", 2)]
    assert cut.full


def test_a_piece_that_fills_the_cap_is_whole() -> None:
    cut = Cut(2, words)
    assert cut.take("a b", None) == ("a b", 2)
    assert cut.full


def test_what_the_server_counts_counts() -> None:
    cut = Cut(5, words)
    assert taken(cut, "one word", told=3) == [("one word", 3)]
    assert taken(cut, "and three more words", told=4) == [("and three ", 2)]
    assert cut.full


@pytest.mark.parametrize("piece", ["", "word"])
def test_more_tokens_than_fit_fill_the_cap_whatever_they_look_like(piece: str) -> None:
    cut = Cut(2, words)
    assert cut.take(piece, 3) == (piece, 2)
    assert cut.full


def test_without_a_tokenizer_each_piece_is_one() -> None:
    cut = Cut(3, unknown)
    assert taken(cut, "a b c", "d") == [("a b c", 1), ("d", 1)]
    assert taken(cut, "e", told=2) == [("e", 1)]
    assert cut.full


def test_of_a_long_text_only_the_beginning_is_measured() -> None:
    measured = 0

    def counting(text: str) -> int:
        nonlocal measured
        measured += len(text)
        return words(text)

    text, tokens = Cut(10, counting).take("word " * 1_000_000, None)
    assert (text, tokens) == ("word " * 10, 10)
    assert measured < 20 * SLICE


@given(st.lists(st.text(alphabet="ab \n", max_size=20), max_size=20), st.integers(1, 20))
def test_no_more_is_taken_than_fits_and_nothing_less(pieces: list[str], cap: int) -> None:
    cut = Cut(cap, words)
    total, whole = 0, True
    for piece in pieces:
        text, tokens = cut.take(piece, None)
        assert piece.startswith(text)
        assert tokens == words(text)
        total += tokens
        whole = text == piece
        if cut.full:
            break
    assert total <= cap
    assert whole or total == cap

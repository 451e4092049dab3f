"""P40: whatever the chunking, the joined deltas are the text, with no U+FFFD that the text does not have."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.text.deltas import Cumulative, Deltas
from tests.properties.chunking import cut, places

WORDS = "a é ñ ت 界 🙂 👩\u200d👩\u200d👧 \ufffd".split()  # noqa: SIM905  # to be read as one line
TEXTS = st.text() | st.lists(st.sampled_from([*WORDS, " ", "\n"])).map("".join)


def said_by_cumulative(texts: list[bytes]) -> list[str]:
    machine = Cumulative()
    return [*(machine.feed(text) for text in texts), machine.flush()]


def growing(pieces: list[bytes]) -> list[bytes]:
    return list(itertools.accumulate(pieces))


def by_characters(raw: bytes) -> bytes:
    """How a server sees half a text that decodes each character by itself."""
    return raw.decode(errors="replace").encode()


def by_groups(raw: bytes) -> bytes:
    """How one sees it that decodes the bytes between ASCII as a group: all lost until the group is whole."""
    out = b""
    for is_ascii, group in itertools.groupby(raw, lambda byte: byte < 128):
        data = bytes(group)
        try:
            data.decode()
        except ValueError:
            assert not is_ascii
            data = "\ufffd".encode() * len(data)
        out += data
    return out


@given(TEXTS, places)
@example("🙂", [1, 2, 3])
def test_p40_deltas_join_to_the_text(text: str, where: Sequence[int]) -> None:
    machine = Deltas()
    said = [machine.feed(piece) for piece in cut(text.encode(), where)]
    assert machine.flush() == ""
    assert "".join(said) == text


@given(TEXTS, places)
def test_p40_cumulative_texts_join_to_the_last(text: str, where: Sequence[int]) -> None:
    assert "".join(said_by_cumulative(growing(cut(text.encode(), where)))) == text


@pytest.mark.parametrize("show", [by_characters, by_groups])
@given(text=TEXTS, where=places)
def test_p40_servers_that_decode_half_characters(show: object, text: str, where: Sequence[int]) -> None:
    assert callable(show)
    said = said_by_cumulative([show(raw) for raw in growing(cut(text.encode(), where))])
    assert "".join(said) == text


@given(st.binary(max_size=40), places)
def test_any_bytes_are_text_or_a_value_error(raw: bytes, where: Sequence[int]) -> None:
    pieces = cut(raw, where)
    whole = raw.decode(errors="replace")
    deltas = Deltas()
    try:
        said = "".join([deltas.feed(piece) for piece in pieces]) + deltas.flush()
        again = "".join(said_by_cumulative(growing(pieces)))
    except ValueError:
        with pytest.raises(ValueError, match="utf-8"):
            raw.decode()
        return
    assert whole == said == again


@given(TEXTS, places, TEXTS)
def test_a_text_that_is_rewritten_is_told(text: str, where: Sequence[int], other: str) -> None:
    machine = Cumulative()
    said = ""
    for raw in [*growing(cut(text.encode(), where)), other.encode()]:
        try:
            said += machine.feed(raw)
        except ValueError:
            assert not other.startswith(said)
            assert not said.startswith(other.rstrip("\ufffd"))
            return
    said += machine.flush()
    assert said == other or said.startswith((other.rstrip("\ufffd") or said, text.rstrip("\ufffd")))

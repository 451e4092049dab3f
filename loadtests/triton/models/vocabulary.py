"""The token ids of the legacy models: every byte is one, and so is every word of the scripted text."""

from __future__ import annotations

from collections.abc import Iterable

from loadtests.triton.models.script import TEXT

_BYTES = 256
_WORDS = sorted({piece.encode() for word in TEXT.split() for piece in (word, f" {word}")})
_IDS = {word: _BYTES + at for at, word in enumerate(_WORDS)}


def ids_of(text: bytes) -> list[int]:
    """A prompt's ids: its bytes."""
    return list(text)


def ids_of_piece(piece: bytes) -> list[int]:
    """The ids of a generated piece: one if it is a word or a byte."""
    return [_IDS[piece]] if piece in _IDS else list(piece)


def text_of(ids: Iterable[int]) -> bytes:
    return b"".join(bytes([one]) if one < _BYTES else _WORDS[one - _BYTES] for one in ids if one >= 0)


def word_list(words: list[bytes]) -> tuple[list[int], list[int]]:
    """TensorRT-LLM's form of a list of words: all their ids in a row, and where each ends; filled with 0 and -1."""
    flat = [one for word in words for one in ids_of(word)]
    ends = [sum(map(len, words[: at + 1])) for at in range(len(words))]
    size = max(len(flat), len(ends), 1)
    return flat + [0] * (size - len(flat)), ends + [-1] * (size - len(ends))


def words_in(flat: list[int], ends: list[int]) -> list[bytes]:
    """The inverse of `word_list`."""
    found, start = [], 0
    for end in ends:
        if end > start:
            found.append(text_of(flat[start:end]))
            start = end
    return found

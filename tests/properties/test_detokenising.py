"""P40 with real tokenizers: a server decodes all ids so far after each of them, and our deltas are the whole text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from engines.text.deltas import Cumulative
from tests.properties.chunking import cut, places

WORDS = ["a", " b", "  ", "\n", "é", "مرحبا", "界", "世", "한", "🙂", "👩\u200d👩\u200d👧", "e\u0301", "\ufffd"]


def byte_level() -> Tokenizer:
    """As GPT and Qwen have it: a token is a part of the text's bytes."""
    alphabet = {char: at for at, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("ð", "Ł"), ("Ġ", "b")]  # the first half of an emoji; a word with its space
    vocabulary = alphabet | {left + right: len(alphabet) + at for at, (left, right) in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def byte_fallback() -> Tokenizer:
    """As Llama 2 and Mistral have it: known characters, and the bytes of others, lost as a run until it is whole."""
    known = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "é", "界"]
    vocabulary = {token: at for at, token in enumerate(known)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


@pytest.mark.parametrize("make", [byte_level, byte_fallback])
@given(words=st.lists(st.sampled_from(WORDS)), where=places)
@example(words=["a", "🙂", "🙂", "世", "b"], where=range(50))
def test_p40_no_tokenizer_breaks_text(make: Callable[[], Tokenizer], words: list[str], where: Sequence[int]) -> None:
    tokenizer = make()
    ids = tokenizer.encode("".join(words)).ids
    steps = itertools.accumulate(len(piece) for piece in cut(bytes(len(ids)), where))
    seen = [tokenizer.decode(ids[:step]) for step in steps]
    machine = Cumulative()
    said = "".join([machine.feed(text.encode()) for text in seen]) + machine.flush()
    assert said == seen[-1] == "".join(words)

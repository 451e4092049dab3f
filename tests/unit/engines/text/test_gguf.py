"""Reading a GGUF file's metadata: whole files, and every way to be broken."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.text.gguf import ITEMS, read_metadata
from engines.text.tokens import Tokenizer
from tests.support.micro_gguf import TEMPLATE
from tests.support.vocabularies import byte_level, sentence_piece, write_gguf


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_gguf(tmp_path_factory.mktemp("gguf") / "model.gguf", byte_level(300), pre="qwen2", add_bos_token=False)
    return path.read_bytes()


@pytest.fixture(scope="module")
def end(whole: bytes) -> int:
    """Where the metadata ends: behind the last list, of the merges."""
    return whole.index(b"tokenizer.ggml.merges") + 30_000


def test_a_file_says_what_was_written_into_it(tmp_path: Path) -> None:
    vocabulary = sentence_piece(300)
    found = read_metadata(write_gguf(tmp_path / "model.gguf", vocabulary, pre="default", add_bos_token=True))
    assert found == {
        "tokenizer.ggml.model": "llama",
        "tokenizer.chat_template": TEMPLATE,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 2,
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.tokens": vocabulary.tokens,
        "tokenizer.ggml.token_type": vocabulary.kinds,
        "tokenizer.ggml.scores": vocabulary.scores,
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"GGML" + bytes(40), "does not begin with GGUF"),
        (b"GGUF\0\0\0\3" + bytes(16), "version 50331648 in this byte order"),
        (struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), "version 1"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**63), "entries of metadata"),
        (struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**63), "ends in the midst"),
        (struct.pack("<4sIQQQ1sI", b"GGUF", 3, 0, 1, 1, b"k", 99), "unknown type 99"),
        (struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 4, ITEMS + 1), f"a list of {ITEMS + 1} items"),
        (struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 4, ITEMS), "ends in the midst"),
        (struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 9, 1), "unknown type 9"),
    ],
)
def test_a_broken_file_is_refused_in_words(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_metadata(path)
    assert "model.gguf" in str(caught.value)


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_refused(
    share: float, whole: bytes, end: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "model.gguf"
    path.write_bytes(whole[: int(share * whole.index(b"tokenizer.ggml.merges"))])
    with pytest.raises(ValueError, match=r"model\.gguf"):
        read_metadata(path)


@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_a_file_says_a_tokenizer_comes_of_it_or_a_value_error(
    flips: list[tuple[float, int]], whole: bytes, end: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broken = bytearray(whole)
    for share, value in flips:
        broken[int(share * end)] = value
    path = tmp_path_factory.mktemp("flipped") / "model.gguf"
    path.write_bytes(broken)
    try:
        tokenizer = Tokenizer.load(path)
    except ValueError as error:
        assert "model.gguf" in str(error)  # noqa: PT017  # not raising is right too
    else:
        assert tokenizer.count("Is it of use? 123") > 0


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"pre": "chatglm-bpe"}, "the pre-tokenizer 'chatglm-bpe' is not supported"),
        ({"pre": "qwen2", "bos_token_id": 2**31}, "cannot be used"),
    ],
)
def test_what_is_not_known_is_refused_by_name(entries: dict[str, str | int], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Tokenizer.load(write_gguf(tmp_path / "model.gguf", byte_level(300), **entries))
    assert "model.gguf" in str(caught.value)


def test_a_tokenizer_model_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    vocabulary = byte_level(300)
    path = write_gguf(tmp_path / "model.gguf", type(vocabulary)("bert", vocabulary.tokens, vocabulary.kinds))
    with pytest.raises(ValueError, match="the tokenizer model 'bert' is not supported"):
        Tokenizer.load(path)

"""Counting tokens: one BOS, never two; long texts beside the loop and in pieces."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.text.tokens import PIECE, THREADS, Tokenizer
from tests.support.chat_models import LLAMA_LIKE, MISTRAL_LIKE, QWEN_LIKE
from tests.support.texts import PIECES
from tests.support.vocabularies import byte_level, sentence_piece, write_gguf

LINE = "The quick brown fox, 1234 of them.\n"


@pytest.fixture(scope="module")
def llama_like(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(LLAMA_LIKE.write(tmp_path_factory.mktemp("llama-like")))


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("a", "a"),
        ("<s>a", "a"),
        ("<s><s><s>a<s>", "a<s>"),
        (" <s>a", " <s>a"),
        ("<s>", ""),
        ("", ""),
    ],
)
def test_where_the_server_adds_a_bos_none_is_sent(text: str, sent: str, llama_like: Tokenizer) -> None:
    assert llama_like.sendable(text) == sent
    assert llama_like.count(text) == llama_like.count(sent) == llama_like.count(f"<s>{text}")


def test_where_the_server_adds_no_bos_one_may_be_sent(tmp_path: Path) -> None:
    vocabulary = byte_level(300)
    tokenizer = Tokenizer.load(write_gguf(tmp_path / "model.gguf", vocabulary, pre="qwen2"))
    assert tokenizer.sendable("<s><s>a") == "<s>a"
    assert [tokenizer.count(text) for text in ("a", "<s>a", "<s><s>a")] == [1, 2, 2]


def test_a_model_without_a_bos_counts_every_text_as_it_is(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(QWEN_LIKE.write(tmp_path))
    assert (tokenizer.bos, tokenizer.sendable("<s><s>a"), tokenizer.count("<s><s>a")) == ("", "<s><s>a", 3)


@pytest.mark.parametrize(("flags", "ids"), [({}, 2), ({"add_bos_token": False}, 1), ({"add_eos_token": True}, 3)])
def test_a_gguf_file_says_what_is_added(flags: dict[str, bool], ids: int, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", sentence_piece(300), add_space_prefix=False, **flags)
    assert Tokenizer.load(path).count("a") == ids


def test_counting_stops_where_it_is_enough(llama_like: Tokenizer) -> None:
    text = LINE * 20_000
    whole = llama_like.count(text)
    assert llama_like.count(text, enough=whole) == whole
    assert 100 < llama_like.count(text, enough=100) < whole / 5


def test_what_must_be_too_much_is_not_counted_at_all(tmp_path: Path) -> None:
    """Line ends alone are one word, and the dearest that there is: 8 MB of them took 20 s."""
    tokenizer = Tokenizer.load(QWEN_LIKE.write(tmp_path))
    for text in ("\n" * 8_000_000, "e\u0301" * 4_000_000):
        started = time.process_time()
        assert tokenizer.count(text, enough=8000) > 8000
        assert time.process_time() - started < 1


@given(text=st.lists(st.sampled_from(PIECES)).map("".join), enough=st.integers(0, 30))
def test_more_than_enough_is_never_said_of_less(text: str, enough: int, llama_like: Tokenizer) -> None:
    assert (llama_like.count(text, enough=enough) > enough) == (llama_like.count(text) > enough)


def test_a_piece_is_hardly_longer_than_it_has_to_be(llama_like: Tokenizer) -> None:
    pieces = list(llama_like._pieces(LINE * 20_000))
    assert max(map(len, pieces)) < PIECE + 2 * len(LINE)


async def test_a_long_text_is_counted_beside_the_loop(llama_like: Tokenizer) -> None:
    """One in a single piece, as it has no line ends: the library must let go of the interpreter."""
    text = LINE.strip() * 20_000
    counting = asyncio.create_task(llama_like.count_soon(text))
    beats = 0
    while not counting.done():
        await asyncio.sleep(0.001)
        beats += 1
    assert beats > 10
    assert await counting == llama_like.count(text)
    assert await llama_like.count_soon(LINE) == llama_like.count(LINE)


async def test_only_so_many_long_texts_are_counted_at_a_time(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(MISTRAL_LIKE.write(tmp_path))
    counts = await asyncio.gather(*(tokenizer.count_soon(LINE * 500) for _ in range(20)))
    assert counts == [tokenizer.count(LINE * 500)] * 20
    assert len(tokenizer._threads._threads) == THREADS


async def test_who_leaves_while_a_long_text_is_counted_waits_for_nothing(llama_like: Tokenizer) -> None:
    counting = asyncio.create_task(llama_like.count_soon(LINE * 20_000))
    await asyncio.sleep(0)
    counting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await counting
    assert await llama_like.count_soon(LINE * 500) == llama_like.count(LINE * 500)

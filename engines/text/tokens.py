"""Counts the ids that a server gets for a text: with its special tokens, and with one BOS, never two.

What counts is the text that is sent, and that is `sendable(text)`: where the server's tokenizer puts a BOS in front,
the text must not bring its own (chat templates do).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engines.text.model_files import ModelFiles, read

if TYPE_CHECKING:
    import tokenizers

SOON = 8192
"""Characters that are counted on the loop: some milliseconds. What is longer goes to a thread."""
THREADS = 2
"""Long texts that are counted at a time; the others wait."""
PIECE = 65_536
"""Characters: the library needs 140 bytes for each while it works, so a long text is counted in pieces."""

_BORDER = re.compile("[!-~\u3001-\u9fff]\n[A-Za-z\u0410-\u044f\u0621-\u064a\u4e00-\u9fa5\uac00-\ud7a3]")
"""Where common pre-tokenizers part a text, whatever surrounds it: behind the only line end, in front of a letter."""
_ACROSS = re.compile("[\n\u010a][^\n\u010a]")
"""A token over such a border; byte-level vocabularies spell the line end otherwise."""
_SAMPLES = [f"{before}\n{after}" for before in "aZ5.>)`\u3002\u65e5" for after in "aZ\u0436\u0639\u65e5\ud55c"]
_SHORTENS = {"None": 1, "Sequence(normalizers=[])": 1, "NFC()": 2}
"""How many characters of a text a normalizer may make into a byte or character that tokens are made of."""


class Tokenizer:
    """The tokenizer of a model server. `bos` and `eos` are texts, "" where there is none; `control` as in ModelFiles.

    Safe to use from several threads.
    """

    def __init__(self, files: ModelFiles) -> None:
        """Raises whatever building the tokenizer and trying it out raises."""
        self._tokenizer = files.build()
        added = self._tokenizer.encode("")  # what comes with every text
        self.bos = files.bos or (added.tokens[0] if added.tokens else "")
        self.eos = files.eos
        self.control = files.control
        begins, ends = added.tokens[:1] == [self.bos], added.tokens[-1:] == [self.eos]
        self.adds_bos = bool(self.bos) and (begins if files.adds_bos is None else files.adds_bos)
        adds_eos = bool(self.eos) and (ends if files.adds_eos is None else files.adds_eos)
        self._added = len(added.ids) - begins - ends + self.adds_bos + adds_eos
        self._divisible = _divisible(self._tokenizer)
        self._longest = _longest(self._tokenizer)
        self._threads = ThreadPoolExecutor(THREADS, "tokens")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Of a folder with a tokenizer.json, such a file, or a .gguf. Blocks for up to seconds.

        Raises ValueError, saying what is wrong with which file; OSError.
        """
        files = read(path)
        try:
            return cls(files)
        except Exception as error:  # the library raises nothing narrower, and what a file says may be of any type
            raise ValueError(f"{path}: The tokenizer cannot be used: {error}") from error

    def __repr__(self) -> str:
        size = self._tokenizer.get_vocab_size()
        return f"<Tokenizer {size} tokens · bos {self.bos!r}{' added' if self.adds_bos else ''} · eos {self.eos!r}>"

    def sendable(self, text: str) -> str:
        """`text` as it has to be sent, so that the server's tokenizer makes of it one BOS, or none; never two."""
        if not self.bos or not text.startswith(self.bos):
            return text
        end = len(self.bos)
        while text.startswith(self.bos, end):
            end += len(self.bos)
        return text[end if self.adds_bos else end - len(self.bos) :]

    def count(self, text: str, *, enough: int | None = None) -> int:
        """How many ids the server gets when `sendable(text)` is sent.

        It may stop once there are more than `enough`: then the answer is some number above that.
        """
        total, sent = self._added, self.sendable(text)
        if enough is not None and self._longest and len(sent) > enough * self._longest:
            return 1 + len(sent) // self._longest
        for piece in self._pieces(sent):
            # Unlike `encode`, which lets no other thread run meanwhile.
            total += len(self._tokenizer.encode_batch_fast([piece], add_special_tokens=False)[0])
            if enough is not None and total > enough:
                break
        return total

    async def count_soon(self, text: str, *, enough: int | None = None) -> int:
        """The same; the loop does not wait for a long text."""
        if len(text) <= SOON:
            return self.count(text, enough=enough)
        work = asyncio.get_running_loop().run_in_executor(self._threads, lambda: self.count(text, enough=enough))
        return await work

    def _pieces(self, text: str) -> Iterator[str]:
        start = at = 0
        while self._divisible and (at := text.find("\n", max(at + 1, start + PIECE))) >= 0:
            if _BORDER.match(text, at - 1):
                yield text[start : at + 1]
                start = at + 1
        yield text[start:]


def _divisible(tokenizer: tokenizers.Tokenizer) -> bool:
    """Whether a text cut as above gives the same ids: nothing that is made in one step may lie across a cut."""
    if any(_ACROSS.search(token.content) for token in tokenizer.get_added_tokens_decoder().values()):
        return False
    if not all(_same(tokenizer, sample) for sample in _SAMPLES):  # it may put something in front of each text
        return False
    # A long look, which is needed only where a whole text is one word, as in SentencePiece.
    return all(_parted(tokenizer, sample) for sample in _SAMPLES) or not any(map(_ACROSS.search, tokenizer.get_vocab()))


def _same(tokenizer: tokenizers.Tokenizer, sample: str) -> bool:
    cut = sample.index("\n") + 1
    texts = (sample, sample[:cut], sample[cut:])
    whole, left, right = (tokenizer.encode(text, add_special_tokens=False).ids for text in texts)
    return whole == left + right


def _parted(tokenizer: tokenizers.Tokenizer, sample: str) -> bool:
    """Whether the pre-tokenizer, within whose words all merging stays, parts it at the cut."""
    words = tokenizer.pre_tokenizer.pre_tokenize_str(sample) if tokenizer.pre_tokenizer else []
    return any(start == sample.index("\n") + 1 for _, (start, _) in words)


def _longest(tokenizer: tokenizers.Tokenizer) -> int:
    """The most characters that one id can stand for; 0 where that cannot be said."""
    from tokenizers import models

    normalizer = repr(tokenizer.normalizer)
    swallows = any(token.lstrip or token.rstrip for token in tokenizer.get_added_tokens_decoder().values())
    if not isinstance(tokenizer.model, models.BPE) or swallows or normalizer not in _SHORTENS:
        return 0
    strange = "\u0378" * 50  # a character that is none: some vocabularies drop it, or make one id of all
    if len(tokenizer.encode(strange, add_special_tokens=False).ids) < len(strange):
        return 0
    return max(map(len, tokenizer.get_vocab())) * _SHORTENS[normalizer]

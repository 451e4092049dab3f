"""Tokens that can be turned back: one for each word of a prompt, one for each piece of an answer."""

from __future__ import annotations

import re
import threading
import time

from .script import orders

BOS = 1
FIRST = 10
_WORD = re.compile(r"\s*\S+|\s+")


class Tokenizer:
    """Its `encode` takes its time on the caller's thread. Remembers every word and piece that it has seen."""

    def __init__(self) -> None:
        self._ids: dict[bytes, int] = {}
        self._pieces: list[bytes] = []
        self._lock = threading.Lock()

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        time.sleep(float(orders(text).get("tokenise", "0")))
        return [BOS] * add_special_tokens + [self.id_of(word.encode()) for word in _WORD.findall(text)]

    def decode(self, tokens: list[int]) -> str:
        """Without special tokens; what is no whole character becomes U+FFFD."""
        return b"".join(self._pieces[token - FIRST] for token in tokens if token >= FIRST).decode(errors="replace")

    def id_of(self, piece: bytes) -> int:
        with self._lock:
            if piece not in self._ids:
                self._ids[piece] = FIRST + len(self._pieces)
                self._pieces.append(piece)
            return self._ids[piece]

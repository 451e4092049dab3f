"""Embeddings: one vector an answer, all of a request in one document."""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode
from collections.abc import Sequence

import msgspec

from engines.api import Failed, Kind, Usage
from engines.generating.errors import reported
from engines.triton.inference import Answers
from engines.triton.profiles.api import Profile


class Embedding:
    """See `hearing.Generation`. It gives nothing to the client: the vector is here when it is done.

    It is written as JSON as it comes: all those of a request together would hold up the loop for up to 50 ms. Base64 is
    that of 4 bytes a number, little-endian, as OpenAI's clients ask for by default.
    """

    __slots__ = ("_answers", "_base64", "_profile", "completion", "counted", "done", "kind", "prompt", "vector")

    def __init__(self, profile: Profile, answers: Answers, *, base64: bool) -> None:
        self._profile = profile
        self._answers = answers
        self._base64 = base64
        self.vector: msgspec.Raw | None = None
        self.kind: Kind = "embedding"
        self.completion = 0
        self.counted = False
        self.done = False
        self.prompt: int | None = None

    def __repr__(self) -> str:
        return f"<Embedding {'done' if self.done else 'open'}>"

    @property
    def stopped(self) -> bool:
        return False

    def hear(self, message: bytes) -> bytes:
        try:
            outputs = self._answers.read(message)
            if self._answers.error:
                raise reported(self._answers.error, self.kind)
            if outputs:
                vector = self._profile.vector(outputs)
                self.vector = msgspec.Raw(msgspec.json.encode(_encoded(vector) if self._base64 else vector.tolist()))
        except ValueError:
            raise Failed("The model server's answer is not what it should be.") from None
        if self._answers.final:
            if self.vector is None:
                raise Failed("The model server made no embedding.")
            self.done = True
        return b""


def embeddings(made: Sequence[Embedding], model: str, usage: Usage) -> bytes:
    """The document of those that are done."""
    data = [{"object": "embedding", "index": index, "embedding": one.vector} for index, one in enumerate(made)]
    counts = {"prompt_tokens": usage.prompt, "total_tokens": usage.prompt}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": counts})


def _encoded(vector: array[float]) -> str:
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return b64encode(vector.tobytes()).decode()

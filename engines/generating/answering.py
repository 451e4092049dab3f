"""From the texts of one request to its reply: streamed or whole, one or several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from time import time

from engines.api import Call, Reply
from engines.generating.reply import StreamReply, Tally, collect
from engines.generating.several import SeveralReply
from engines.generating.texts import Reading, Text
from engines.text.answer import Chunks, Document, Envelope, Writer


class Answering:
    """`choices` take what is generated, one for each of the texts."""

    def __init__(self, call: Call, wanted: Sequence[Text], reading: Reading) -> None:
        self._call = call
        self._envelope = Envelope(call, int(time()))
        self._documents = [] if call.stream else [Document(text.index) for text in wanted]
        writers: Sequence[Writer] = self._documents or [Chunks(self._envelope, text.index) for text in wanted]
        self.choices = [reading.choice(text, writer) for text, writer in zip(wanted, writers, strict=True)]

    def __repr__(self) -> str:
        return f"<Answering {len(self.choices)} texts, {'streamed' if self._call.stream else 'whole'}>"

    async def reply(self, tally: Tally) -> Reply:
        """Waits for the first content, or for all of it. Raises EngineError; nothing is held any more then."""
        if not self._call.stream:
            return await collect(self._call, tally, partial(self._envelope.document, self._documents))
        stream = StreamReply if len(self.choices) == 1 else SeveralReply
        return await stream.open(self._call, self._envelope, tally)

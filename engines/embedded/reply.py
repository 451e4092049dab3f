"""The child's reply on its way to the client, with its slot, our count of its prompt, and the role it may forget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from engines.api import Reply, Usage
from engines.embedded.slots import Slot


class SlotReply:
    """A reply and a slot, let go of together. `prompt` is the exact number of the prompt's tokens."""

    def __init__(self, reply: Reply, slot: Slot, queued: float, prompt: int) -> None:
        self.headers: Mapping[bytes, bytes] = reply.headers
        self.queued = queued
        self._reply = reply
        self._parts = aiter(reply)
        self._begun = False
        self._slot = slot
        self._prompt = prompt

    def __repr__(self) -> str:
        return f"<SlotReply {self._slot!r} {self._reply!r}>"

    @property
    def usage(self) -> Usage | None:
        """As the child reported it; until then our count of the prompt, which is exact, and of the chunks so far."""
        usage = self._reply.usage
        if usage is None or usage.exact:
            return usage
        return Usage(self._prompt, usage.completion, exact=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await anext(self._parts)
        if self._begun:
            return data
        self._begun = True
        return with_role(data)

    def __enter__(self) -> Self:
        self._reply.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._reply.__exit__(*exc)
        finally:
            self._slot.release()


def with_role(start: bytes) -> bytes:
    """The start of an answer, with the role in a chat's first event.

    llama.cpp sends the role with the first token, and not at all if that is not a whole character: half an emoji.
    """
    first = start.partition(b"\n\n")[0]
    if b'"role":' in first:
        return start
    return start.replace(b'"delta":{', b'"delta":{"role":"assistant",', 1)  # only a chat's events have it

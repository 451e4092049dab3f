"""The child's reply on its way to the client, with its slot, our count of its prompt, and the role it may forget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from engines.api import Reply, Usage
from engines.embedded.slots import Slot


class SlotReply:
    """A reply and a slot, let go of together. `prompt` is the exact number of the prompt's tokens."""

    def __init__(self, reply: Reply, slot: Slot, prompt: int) -> None:
        self.headers: Mapping[bytes, bytes] = reply.headers
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
        return cleaned(data)

    def __enter__(self) -> Self:
        self._reply.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._reply.__exit__(*exc)
        finally:
            self._slot.release()


def cleaned(start: bytes) -> bytes:
    """The start of an answer, up to its first content at least, as clients of OpenAI know it.

    The child is asked to tell how far it is with the prompt, because only by a write that fails does llama.cpp notice,
    beside a busy neighbour, that its caller has left; clients did not ask. And it sends a chat's role with the first
    token, but not at all if that token is not a whole character: half an emoji.
    """
    events = [event for event in start.split(b"\n\n") if b'"prompt_progress":{' not in event]
    if b'"role":' not in events[0]:  # only a chat's events have a delta, and one that says nothing has an empty one
        begun = events[0].replace(b'"delta":{', b'"delta":{"role":"assistant",', 1)
        events[0] = begun.replace(b'"assistant",}', b'"assistant"}', 1)
    return b"\n\n".join(events)

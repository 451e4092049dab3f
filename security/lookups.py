"""Keys not met before, looked up together: however many are invented, the store has one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice

from security.api import Grant, Principal, StoreAway

BATCH = 200
"""Most keys in one question. What comes of it is told to all of them in one go, in a few milliseconds."""
WAITING = 10_000
"""Most keys that wait for their question or its answer: one for each of the connections that there are by default."""


@dataclass(slots=True)
class _Waiting:
    key_id: str
    answer: asyncio.Future[Principal | None]


class Lookups:
    """`ask` reads grants by id, and leaves out what is not there; `judge` gets each key's id, digest and grant at once
    after that, and says who has it, None if it is not good.
    """

    def __init__(
        self,
        ask: Callable[[Collection[str]], Awaitable[Mapping[str, Grant]]],
        judge: Callable[[str, bytes, Grant | None], Principal | None],
    ) -> None:
        self._ask = ask
        self._judge = judge
        self._waiting: dict[bytes, _Waiting] = {}
        self._asking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Lookups {len(self._waiting)} waiting>"

    async def find(self, key_id: str, hashed: bytes) -> Principal | None:
        """None for a key that is not good. Raises StoreAway."""
        waiting = self._waiting.get(hashed)
        if waiting is None:
            if len(self._waiting) >= WAITING:
                raise StoreAway("too many unknown keys at once")
            waiting = self._waiting[hashed] = _Waiting(key_id, asyncio.get_running_loop().create_future())
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_all())
        return await asyncio.shield(waiting.answer)  # shared by all with this key, so not cancelled with one of them

    async def aclose(self) -> None:
        """Whoever waits is cancelled."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        for waiting in self._waiting.values():
            waiting.answer.cancel()
        self._waiting.clear()

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                await self._ask_some()
        except Exception as error:  # noqa: BLE001  # told to all who wait: the next question would take as long to fail
            for waiting in self._waiting.values():
                waiting.answer.set_exception(error)
                waiting.answer.exception()  # seen, should everybody have left who waited for it
            self._waiting.clear()
        finally:
            self._asking = None

    async def _ask_some(self) -> None:
        some = dict(islice(self._waiting.items(), BATCH))
        grants = await self._ask({waiting.key_id for waiting in some.values()})
        for hashed, waiting in some.items():
            del self._waiting[hashed]
            waiting.answer.set_result(self._judge(waiting.key_id, hashed, grants.get(waiting.key_id)))

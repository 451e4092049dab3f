"""Callers of several tenants who come at a steady rate, whatever becomes of them: what they wait is the gateway's."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random

import msgspec

from loadtests.bench import bodies
from loadtests.quotas.asking import MARK, Asked, Caller, arrive, bearer


class Steady:
    """Asks each of the gateways at `ports` now and then, with the only key of each tenant."""

    def __init__(self, ports: Sequence[int], keys: Mapping[str, Sequence[str]], random: Random) -> None:
        self.asked: list[Asked] = []
        self._ports = ports
        self._keys = keys
        self._random = random
        self._idle: dict[int, list[Caller]] = defaultdict(list)
        self._next = 0
        self._enough = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Steady of {len(self._keys)} tenants, {len(self.asked)} asked>"

    def stop(self) -> None:
        """No more of them come."""
        self._enough.set()

    async def ask(self, rates: Mapping[str, float]) -> None:
        """So many requests a second of each tenant; until all have ended."""
        async with asyncio.TaskGroup() as group:
            for tenant, rate in rates.items():
                group.create_task(self._come(group, tenant, rate))
        for callers in self._idle.values():
            for caller in callers:
                caller.transport.close()

    async def _come(self, group: asyncio.TaskGroup, tenant: str, rate: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._enough.is_set():
            await asyncio.sleep(max(0.0, due - loop.time()))
            due += 1 / rate
            group.create_task(self._ask(tenant))

    async def _ask(self, tenant: str) -> None:
        gateway = self._random.randrange(len(self._ports))
        port, idle = self._ports[gateway], self._idle[gateway]
        asked = Asked(self._next, tenant, 0, gateway)
        self._next += 1
        text = f"{MARK}{asked.number} @@tokens=4,service_ms=5@@"
        content = msgspec.json.encode({"model": "mock", "messages": [{"role": "user", "content": text}]})
        while idle and idle[-1].transport.is_closing():  # the gateway has had enough of who waited for so long
            idle.pop()
        caller = idle.pop() if idle else await arrive(port)
        await caller.put(asked, bodies.http(port, content, bearer(self._keys[tenant][0])))
        if caller.open:
            idle.append(caller)
        self.asked.append(asked)

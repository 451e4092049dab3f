"""Callers of several tenants who want more than they may have, and whose requests come to all kinds of ends."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import msgspec

from loadtests.bench import bodies
from loadtests.prove.visitor import Ending, Visitor

Fate = Literal["whole", "stream", "fails", "breaks", "leaves", "late"]
FATES: Mapping[Fate, int] = {"whole": 36, "stream": 36, "fails": 6, "breaks": 6, "leaves": 10, "late": 6}
"""What becomes of a hundred requests: the model server answers 500, or breaks its stream; the client leaves one, or
has no time for the answer.
"""
CAP = 24
"""Tokens of an answer, at most; each has its own length."""
WORDS = 30
"""Of a prompt."""
THINK = 0.2
"""Seconds, at most, after which who was refused comes again."""
HEARD = 3
"""Tokens after which a client leaves."""
MARK = "request "


@dataclass(slots=True)
class Asked:
    """One request as its client saw it; times are monotonic seconds. `number` is in its text for the model server."""

    number: int
    tenant: str
    key: int
    gateway: int
    fate: Fate = "whole"
    size: int = 0  # of the body, in bytes
    sent: float = 0.0
    known: float = 0.0  # when the head of the answer was here, or that there is none
    ended: float = 0.0
    ending: Ending = "lost"
    status: int = 0


class Caller(Visitor):
    """A visitor that notes when it knew whether it was let in."""

    def __init__(self) -> None:
        super().__init__()
        self.known_at = 0.0

    def on_headers_complete(self) -> None:
        self.known_at = time.monotonic()

    async def put(self, asked: Asked, request: bytes, leave_after: int = 0) -> None:
        """Ask, and note what came of it."""
        self.known_at = 0.0
        asked.sent = time.monotonic()
        asked.ending = await self.visit(request, leave_after=leave_after)
        asked.ended = time.monotonic()
        asked.known, asked.status = self.known_at or asked.ended, self.status


def directive(fate: Fate, random: Random) -> str:
    """For the simulated upstream."""
    length = random.randint(4, CAP)
    match fate:
        case "whole":
            return f"tokens={length},service_ms={random.randint(5, 100)}"
        case "stream":
            return f"tokens={length},delay_ms=5"
        case "fails":
            return "fault=status,status=500"
        case "breaks":
            return f"tokens={CAP},delay_ms=5,fault=reset_after,after={length // 2}"
        case "leaves":
            return f"tokens={CAP},delay_ms=20"
        case "late":
            return "service_ms=1000"


def body(asked: Asked, random: Random) -> bytes:
    """Chat JSON; words have one letter, so that bytes tell little more than tokens do."""
    text = f"{MARK}{asked.number} @@{directive(asked.fate, random)}@@" + " a" * WORDS
    request = {"model": "mock", "messages": [{"role": "user", "content": text}], "max_tokens": CAP}
    if asked.fate in {"stream", "breaks", "leaves"}:
        request["stream"] = True
    return msgspec.json.encode(request)


class Crowd:
    """Asks the gateways at `ports` at random, with `keys` of each tenant; what of, is drawn from `random`."""

    def __init__(self, ports: Sequence[int], keys: Mapping[str, Sequence[str]], random: Random) -> None:
        self.asked: list[Asked] = []
        self._ports = ports
        self._keys = keys
        self._random = random
        self._next = 0

    def __repr__(self) -> str:
        return f"<Crowd of {len(self._keys)} tenants, {len(self.asked)} asked>"

    async def ask(self, callers: int, seconds: float) -> None:
        """With so many callers of each tenant; ends when all requests have."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for tenant in self._keys:
                for _ in range(callers):
                    group.create_task(self._call(tenant, until))

    async def _call(self, tenant: str, until: float) -> None:
        random, idle = Random(self._random.getrandbits(64)), dict[int, Caller]()
        while time.monotonic() < until:
            gateway = random.randrange(len(self._ports))
            caller = idle.pop(gateway, None)
            if caller is None or not caller.open:
                try:
                    caller = await arrive(self._ports[gateway])
                except OSError:  # it has been killed
                    await asyncio.sleep(random.uniform(0, THINK))
                    continue
            asked = await self._ask(caller, tenant, gateway, random)
            if caller.open:
                idle[gateway] = caller
            if asked.status != http.client.OK:
                await asyncio.sleep(random.uniform(0, THINK))
        for caller in idle.values():
            caller.transport.close()

    async def _ask(self, caller: Caller, tenant: str, gateway: int, random: Random) -> Asked:
        (fate,) = random.choices(list(FATES), list(FATES.values()))
        key = int(len(self._keys[tenant]) * random.random() ** 2)  # one wants more than others
        asked = Asked(self._next, tenant, key, gateway, fate)
        self._next += 1
        await put(asked, caller, self._ports[gateway], self._keys[tenant][key], random)
        self.asked.append(asked)
        return asked


async def put(asked: Asked, caller: Caller, port: int, key: str, random: Random) -> None:
    """By `caller`, who is connected to `port`: as its fate wants it."""
    content = body(asked, random)
    asked.size = len(content)
    extra = bearer(key)
    if asked.fate == "late":
        extra += "x-request-timeout-ms: 200\r\n"
    await caller.put(asked, bodies.http(port, content, extra), HEARD if asked.fate == "leaves" else 0)


def bearer(key: str) -> str:
    """A header line."""
    return f"authorization: Bearer {key}\r\n"


async def arrive(port: int) -> Caller:
    """Connected to 127.0.0.1:`port`. Raises OSError."""
    _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", port)
    return caller

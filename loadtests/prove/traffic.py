"""Requests by the hundred from the running loop, and how each of them ended: whole, with an error, or neither."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from loadtests.bench import bodies
from loadtests.fleet.answers import words
from loadtests.prove.answers import answer_of
from loadtests.prove.visitor import Visitor, arrive

WHOLE = "whole"
WRONG = "neither whole nor an error"
_SERIAL = itertools.count()


@dataclass(slots=True, frozen=True)
class Told:
    """`ending` is WHOLE, the code of the error that the client was told, or WRONG; times are the loop's seconds."""

    ending: str
    sent: float
    ended: float


class Traffic:
    """Clients of a gateway that ask for one model, on as many connections as they need. No two prompts are the same.

    `tokens` is the length of a whole answer; `told` has every request that has ended.
    """

    def __init__(self, port: int, model: str, *, stream: bool = False, tokens: int = 12) -> None:
        self._port = port
        self._model = model
        self._stream = stream
        self._whole = "".join(words(0, tokens))
        self._most = 2 * tokens  # so that each costs as much as the next, from the first one on
        self._idle: list[Visitor] = []
        self.told: list[Told] = []

    def __repr__(self) -> str:
        return f"<Traffic for {self._model}: {len(self.told)} told, {len(self._idle)} connections idle>"

    @property
    def endings(self) -> set[str]:
        return {each.ending for each in self.told}

    def failed(self) -> list[Told]:
        """Those that were not whole."""
        return [each for each in self.told if each.ending != WHOLE]

    async def ask(self, directive: str = "") -> Told:
        """One request; `directive` is for the simulated upstream."""
        loop = asyncio.get_running_loop()
        sent = loop.time()
        visitor = self._idle.pop() if self._idle else await arrive(self._port)
        ending = await visitor.visit(self._request(directive))
        told = Told(self._judge(visitor) if ending == "answered" else WRONG, sent, loop.time())
        if visitor.open:
            self._idle.append(visitor)
        self.told.append(told)
        return told

    async def leave_early(self, directive: str = "") -> None:
        """One whose client is gone after the first token of its stream. It is not told of."""
        visitor = await arrive(self._port)
        await visitor.visit(self._request(directive), leave_after=1)

    async def trickle(
        self, rate: float, seconds: float, enough: Callable[[], bool] = lambda: False,
        sent: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """So many requests a second, whether answers come or not, until it is `enough`; then until all have ended.

        `sent` is told when no more of them follow.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
                if enough():
                    break
                group.create_task(self.ask())
            sent()

    async def crowd(self, requests: int, clients: int) -> None:
        """So many requests of clients who each wait for an answer before they ask again."""
        left = iter(range(requests))

        async def client() -> None:
            for _ in left:
                await self.ask()

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())

    def leave(self) -> None:
        for visitor in self._idle:
            visitor.leave()

    def _request(self, directive: str = "") -> bytes:
        mark = f" @@{directive}@@" if directive else ""
        prompt = [{"role": "user", "content": f"Question {next(_SERIAL)}{mark}"}]
        wanted = {"model": self._model, "messages": prompt, "stream": self._stream, "max_tokens": self._most}
        return bodies.http(self._port, json.dumps(wanted).encode())

    def _judge(self, visitor: Visitor) -> str:
        answer = answer_of(visitor.status, {}, visitor.body, stream=self._stream and visitor.status == HTTPStatus.OK)
        ended = bool(answer.finish_reasons) or answer.done
        if answer.error is not None:
            return WRONG if ended else str(answer.error["code"])
        whole = answer.finish_reasons == ["stop"] and answer.done is self._stream and answer.text == self._whole
        return WHOLE if whole else WRONG


@contextmanager
def traffic(port: int, model: str, **how: Any) -> Iterator[Traffic]:
    """Its connections are closed after the block."""
    made = Traffic(port, model, **how)
    try:
        yield made
    finally:
        made.leave()

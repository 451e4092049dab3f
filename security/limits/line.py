"""The way to the store that gateways share: calls of one moment go together, none waits long, trouble is remembered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from security.limits.cluster import ClusterWire
from security.limits.going import goes_on
from security.limits.outbox import Outbox
from security.limits.script import Call
from security.limits.wire import ServerWire, Wire

_logger = logging.getLogger("snowshed")

DEADLINE = 0.05
"""Seconds that a request waits for its answer."""
PATIENCE = 0.5
"""Seconds for what no request waits for."""
GATHER = 0.01
"""Seconds in which messages gather, unless a question takes them along."""
RETRY = 0.5
"""Seconds between two attempts to tell messages while the store is away."""
AT_ONCE, TOGETHER = 4, 64
"""Most batches on their way; most calls in one, and most messages beside them."""
FAILURES = 3
"""Batches in a row after which the store is left alone, until it answers again somebody who can wait."""
FOREIGN = ("WRONGTYPE", "user_script:", "Error running script", "hash value is not an integer")
"""How errors begin that say something of one key alone: somebody else has written to it."""
STOOD_STILL = 0.005
"""Seconds by which a timer is late because of our own loop."""
LONGEST = 10
"""Deadlines that an answer is waited for at most, however often our loop stands still."""


class Away(Exception):
    """The store has not answered; what it was asked may have happened all the same, unless `unsent`."""

    def __init__(self, reason: str, *, unsent: bool = False) -> None:
        super().__init__(reason)
        self.unsent = unsent


@dataclass(slots=True, eq=False)
class _Batch:
    """Calls on their way together, behind messages. `due` is when they have taken too long, by the loop's clock; `end`
    is when they have even if our loop stood still.
    """

    messages: dict[int, Call]
    waiting: list[tuple[Call, asyncio.Future[Any]]]
    due: float
    end: float
    task: asyncio.Task[None] | None = None


class Line:
    """Over a client of Redis, or what speaks like it; `script` is what all calls are runs of.

    `deadline` is in seconds, for an answer, not counting those in which our own loop stood still. `trouble` says for
    people why the store is left alone; "" while it is asked, and that is so again once it has answered as fast as that
    to somebody who could have waited for longer. `outages`: how often it came to that, `since`: when it did for the
    first time after a request was answered, by the loop's clock.
    """

    def __init__(self, client: Redis | RedisCluster, script: str, deadline: float = DEADLINE) -> None:
        self._wire = _wire(client, script)
        self._deadline = deadline
        self._outbox = Outbox()
        self._some = asyncio.Event()
        self._waiting: deque[tuple[Call, asyncio.Future[Any]]] = deque()
        self._batches: set[_Batch] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._reason = ""
        self.trouble = ""
        self.outages = 0
        self.since = 0.0
        self._of_use = True

    def __repr__(self) -> str:
        state = self.trouble or "open"
        return f"<Line {len(self._waiting)} waiting, {len(self._batches)} batches, {self._outbox!r}; {state}>"

    @property
    def sound(self) -> bool:
        """Whether the last batch was answered."""
        return not self._failures

    async def ask(self, call: Call) -> Sequence[int]:
        """Behind the oldest messages. Raises Away. Whoever is cancelled here does not know whether it has happened."""
        if self.trouble:
            raise Away(self._reason, unsent=True)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[int]] = loop.create_future()
        self._waiting.append((call, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._send)  # by when all have asked that are about to
        return await answer

    def tell(self, message: Call) -> None:
        """Later, and in order. It must count once, however often it is told. Never waits and never raises."""
        self._outbox.add(message)
        self._some.set()

    async def ask_patiently(self, calls: Sequence[Call]) -> list[Any]:
        """For those who can wait: so it is found out that the store is back. Raises Away."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._deadline
        try:
            async with asyncio.timeout(PATIENCE):
                replies = await self._run(calls)
        except (RedisError, RedisClusterException, OSError) as error:  # which in a cluster is none of the former
            self._failed(error)
            raise Away(self._reason) from None
        if loop.time() <= due:
            self._answered()
        return replies

    async def run(self) -> None:
        """Tell what no question takes along, until cancelled."""
        while goes_on():
            await self._some.wait()
            await asyncio.sleep(GATHER)
            if not await self.flush():
                await asyncio.sleep(RETRY)

    async def follow(self) -> None:
        """Notice who takes whose place among the servers, if there are several; until cancelled."""
        await self._wire.follow()

    async def flush(self) -> bool:
        """Tell all messages now that are not on their way; False if the store is away, and the rest is kept."""
        while messages := self._outbox.take(2 * TOGETHER):
            try:
                await self.ask_patiently(list(messages.values()))
                self._outbox.confirm(messages)
            except Away:
                return False
            finally:
                self._outbox.put_back(messages)
        self._some.clear()
        return True

    async def aclose(self) -> None:
        """Whoever waits is told that it is away."""
        if self._tasks:
            await asyncio.wait(self._tasks)  # they have messages with them, and not long to go
        await self.flush()
        self._reason = self.trouble = "the gateway stops"
        self._refuse_waiting()
        for batch in tuple(self._batches):
            self._give_up(batch)
        if self._tasks:
            await asyncio.wait(self._tasks)  # they close connections
        await self._wire.aclose()

    def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._batches) < AT_ONCE:
            taken = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            asked = [one for one in taken if not one[1].done()]
            if asked:
                now, longest = loop.time(), LONGEST * self._deadline
                batch = _Batch(self._outbox.take(TOGETHER), asked, now + self._deadline, now + longest)
                self._batches.add(batch)
                batch.task = loop.create_task(self._carry(batch))
                self._tasks.add(batch.task)
                batch.task.add_done_callback(self._tasks.discard)
                loop.call_at(batch.due, self._late, batch)

    async def _carry(self, batch: _Batch) -> None:
        try:
            replies = await self._run([*batch.messages.values(), *(call for call, _ in batch.waiting)])
        except Exception as error:  # noqa: BLE001  # whatever it was, those who wait must not wait for ever
            self._failed(error)
            self._give_up(batch)
            return
        self._batches.discard(batch)
        self._outbox.confirm(batch.messages)
        self._of_use = True
        self._answered()
        for (_, answer), reply in zip(batch.waiting, replies[len(batch.messages) :], strict=True):
            if isinstance(reply, RedisError):
                _refuse(answer, Away(type(reply).__name__))
            elif not answer.done():
                answer.set_result(reply)
        self._send()

    async def _run(self, calls: Sequence[Call]) -> list[Any]:
        """Raises an error that says something of the store; any other stands in its place among the answers."""
        replies = await self._wire.run(calls)
        for reply in replies:
            if isinstance(reply, RedisError) and not str(reply).startswith(FOREIGN):
                raise reply
        return replies

    def _late(self, batch: _Batch) -> None:
        if batch not in self._batches:
            return
        loop = asyncio.get_running_loop()
        behind = loop.time() - batch.due
        if behind > STOOD_STILL and loop.time() < batch.end and not self.trouble:  # perhaps it is there, unread
            batch.due = loop.time() + min(behind, self._deadline)
            loop.call_at(batch.due, self._late, batch)
            return
        self._failed(TimeoutError())
        self._give_up(batch)

    def _give_up(self, batch: _Batch) -> None:
        self._batches.discard(batch)
        if batch.task is not None:
            batch.task.cancel()  # which closes its connection: nobody else must read those answers
        if batch.messages:
            self._outbox.put_back(batch.messages)
            self._some.set()
        for _, answer in batch.waiting:
            _refuse(answer, Away(self._reason))
        self._send()

    def _refuse_waiting(self) -> None:
        while self._waiting:
            _refuse(self._waiting.popleft()[1], Away(self._reason, unsent=True))

    def _answered(self) -> None:
        self._failures = 0
        if self.trouble:
            self.trouble = ""
            _logger.info("limits shared again")

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        self._reason = type(error).__name__  # its text may tell more than a log should know
        if self._failures >= FAILURES and not self.trouble:
            self.trouble = f"limits: the store that gateways share can't be asked ({self._reason})"
            self.outages += 1
            if self._of_use:
                self._of_use, self.since = False, asyncio.get_running_loop().time()
            _logger.warning("limits not shared", extra={"reason": self._reason})
            self._refuse_waiting()


def _refuse(answer: asyncio.Future[Any], away: Away) -> None:
    if not answer.done():
        answer.set_exception(away)


def _wire(client: Redis | RedisCluster, script: str) -> Wire:
    return ClusterWire(client, script) if isinstance(client, RedisCluster) else ServerWire(client, script)

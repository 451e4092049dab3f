"""Clients that come when they please, lose patience and come back: an open loop over connections opened on demand."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from random import Random
from time import monotonic

from loadtests.bench import bodies
from loadtests.overload.arrivals import arrivals
from loadtests.overload.plan import REFUSED, Attempt, Ending, Plan
from loadtests.overload.visit import Visit

STEP = 0.005
"""Seconds after which the crowd looks around for those who have lost patience, if nobody comes before."""


@dataclass(slots=True, eq=False)
class Client:
    """Somebody who wants one answer; `deaf` to what is said of when to come back."""

    source: int
    deaf: bool
    tries: int = 0


@dataclass(slots=True, eq=False)
class Asking:
    """An attempt of a client that has not ended; `visit` from when it has a connection."""

    client: Client
    attempt: Attempt
    visit: Visit | None = None


class Crowd:
    """One plan being carried out, from `begins` on (monotonic seconds); `over` is done when every client is."""

    def __init__(self, plan: Plan, begins: float) -> None:
        self.attempts: list[Attempt] = []
        self.over = asyncio.get_running_loop().create_future()
        self._plan = plan
        self._requests = [bodies.http(plan.port, source.body.encode(), source.extra) for source in plan.sources]
        self._idle: list[Visit] = []
        self._asking: deque[Asking] = deque()  # in the order in which they lose patience; also some that have ended
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count()
        self._due = list(self._clients())
        heapify(self._due)
        self._began = begins
        self._timer: asyncio.Handle = asyncio.get_running_loop().call_soon(self._look_around)

    def __repr__(self) -> str:
        return f"<Crowd {len(self._due)} to come, {self._under_way} under way, {len(self.attempts)} attempts ended>"

    def end(self, asking: Asking, ending: Ending) -> None:
        """What the attempt came to; its client may come back."""
        attempt = asking.attempt
        attempt.ended = self._now()
        attempt.ending = ending
        self.attempts.append(attempt)
        self._under_way -= 1
        self._come_back(asking.client, attempt)
        if not (self._under_way or self._due):
            self.over.set_result(None)

    def keep(self, visit: Visit) -> None:
        """For the next client."""
        self._idle.append(visit)

    def _clients(self) -> Iterator[tuple[float, int, Client]]:
        """Each with when it comes, and a number for those that come at once."""
        random = Random(self._plan.seed)
        for number, source in enumerate(self._plan.sources):
            share = source.retries.deaf if source.retries else 0.0
            for at in arrivals(source.phases, random):
                yield at, next(self._numbers), Client(number, deaf=random.random() < share)

    def _now(self) -> float:
        return monotonic() - self._began

    def _look_around(self) -> None:
        """Send what is due, leave where patience has ended; again in time for the next."""
        now = self._now()
        while self._due and self._due[0][0] <= now:
            at, _, client = heappop(self._due)
            self._ask(client, at)
        while self._asking and (self._asking[0].attempt.ended or self._out_of_patience(self._asking[0], now)):
            self._asking.popleft()
        self._timer.cancel()
        if not self.over.done():
            pause = min(STEP, self._due[0][0] - self._now()) if self._due else STEP
            self._timer = asyncio.get_running_loop().call_later(max(0.0, pause), self._look_around)

    def _out_of_patience(self, asking: Asking, now: float) -> bool:
        if now < asking.attempt.begun + self._plan.patience:
            return False
        if asking.visit is not None:
            asking.visit.leave()
        self.end(asking, "left")
        return True

    def _ask(self, client: Client, at: float) -> None:
        asking = Asking(client, Attempt(client.source, client.tries, at, self._now()))
        client.tries += 1
        self._under_way += 1
        self._asking.append(asking)
        while self._idle:
            if (visit := self._idle.pop()).open:
                self._send(asking, visit)
                return
        task = asyncio.get_running_loop().create_task(self._connect(asking))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, asking: Asking) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, visit = await loop.create_connection(lambda: Visit(self), "127.0.0.1", self._plan.port)
        except OSError:
            if not asking.attempt.ended:
                self.end(asking, "lost")
            return
        if asking.attempt.ended:
            self.keep(visit)
        else:
            self._send(asking, visit)

    def _send(self, asking: Asking, visit: Visit) -> None:
        asking.visit = visit
        asking.attempt.sent = self._now()
        visit.carry(asking, self._requests[asking.client.source])

    def _come_back(self, client: Client, attempt: Attempt) -> None:
        retries = self._plan.sources[client.source].retries
        if retries is None or client.tries > retries.most:
            return
        if attempt.ending == "answered" and attempt.status not in REFUSED:
            return
        wait = 0.0 if client.deaf else attempt.retry_after
        heappush(self._due, (attempt.ended + wait, next(self._numbers), client))
        if wait < STEP:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_soon(self._look_around)

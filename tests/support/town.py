"""Versions, replicas, a shadow and clients in virtual time, in which everything happens that can, by a seed."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from random import Random
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from engines.api import (
    Call,
    Capacity,
    EngineError,
    Failed,
    Health,
    Interrupted,
    Overloaded,
    Rejected,
    TimedOut,
    Unreachable,
    Usage,
)
from gateway.finish import FinishEar
from gateway.shadow_scores import ShadowScores
from router.admission import Admission
from router.api import NO_AFFINITY, Affinity, NoReplica, Quarantined, Rank, Replica, Shed
from router.dispatch import Dispatched, Dispatcher
from router.fair_queue import Bounds
from router.hedging import Hedge, HedgeAccount
from router.model import Version
from router.policies import POLICIES
from router.pool import Pool
from router.quarantine import Quarantine
from router.retries import RetryBudget
from router.shadow import Shadow, Shadowed
from router.ticket import Terms
from tests.support.gates import Noted

FAILURES: tuple[Callable[[], BaseException], ...] = (
    partial(Unreachable, "x"),
    partial(Failed, "x"),
    partial(Failed, "x", died=True),
    partial(Overloaded, "x", 1),
    partial(TimedOut, "first_token", 1),
    partial(Rejected, "x"),
    RuntimeError,
    asyncio.CancelledError,
)
CUTS: tuple[Callable[[], Exception], ...] = (
    partial(Interrupted, "x"),
    partial(Interrupted, "x", died=True),
    RuntimeError,
)
RANKED: tuple[Rank, ...] = (0, 1, 1, 2)
SLEEPS = (0, 0, 0.01, 0.5, 0.5, 1, 3)


class Selector(selectors.DefaultSelector):
    """Waits for nobody: the loop's clock moves on instead."""

    now = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing would ever happen again"
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


class Engine:
    """Answers late, in pieces, wrongly or not at all; `open` are its replies that nobody has closed."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.open = 0

    async def start(self) -> None: ...

    async def call(self, call: Call) -> Answer:
        random = self.random
        try:
            for _ in range(random.randrange(3)):
                await asyncio.sleep(random.choice(SLEEPS))
        except asyncio.CancelledError:
            match random.randrange(10):
                case 0:
                    return Answer(self)  # it comes all the same
                case 1:
                    raise Failed("x") from None
                case 2:
                    await asyncio.sleep(0.3)
            raise
        if random.random() < 0.4:
            failure = random.choice(FAILURES)
            raise failure()
        return Answer(self)

    async def probe(self) -> Health:
        return Health(ready=True)

    async def aclose(self) -> None: ...


class Answer:
    headers: Mapping[bytes, bytes] = {}
    usage: Usage | None = Usage(1, 1)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed = False
        engine.open += 1

    async def __aiter__(self) -> AsyncIterator[bytes]:
        random = self._engine.random
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.choice(SLEEPS))
            yield b'data: {"choices":[{"finish_reason":"stop"}]}\n\n'
        if random.random() < 0.25:
            cut = random.choice(CUTS)
            raise cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._engine.open -= not self._closed
        self._closed = True
        if self._engine.random.random() < 0.03:
            raise OSError


class Town:
    """A version, one to fall back to, and the shadow of both."""

    def __init__(self, random: Random, loop: VirtualLoop, admission: type[Admission] = Admission) -> None:
        self.random = random
        self._admission = admission
        self.clock = loop.time
        self.engines = [Engine(random) for _ in range(7)]
        self.replicas = [Replica(f"r{number}", engine) for number, engine in enumerate(self.engines)]
        self.pressed: set[Admission] = set()
        self.waited = 0
        self.first, self.other = self._version("first", 0, 3), self._version("other", 3, 5)
        self.shadow_version = self._version("shadow", 5, 7)
        self.scores = ShadowScores()
        self.dispatcher = Dispatcher(Quarantine(self.clock, b"key"))
        self.hedge = Hedge(0.5, HedgeAccount(RetryBudget(self.clock, 1.0, floor=1000)))
        self.shadow = Shadow(self.shadow_version, 0.7, 5, self.scores, FinishEar, random.random, self.clock)

    def _version(self, name: str, start: int, end: int) -> Version:
        policy = POLICIES[self.random.choice(list(POLICIES))](self.random)
        pool = Pool(name, self.replicas[start:end], policy, self.clock, self.random)
        pool.capacity = Capacity(self.random.choice((2, 6, 12)), kv_tokens=self.random.choice((6_000, 100_000)))
        terms = Terms(Bounds(requests=self.random.choice((5, 100))), (0.5, 1.0, 3.0))
        admission = self._admission(pool, terms, self.clock, self.random, self.pressed)
        admission.replace(pool.replicas, terms)
        return Version(name, "1", f"{name}@1", name, 9, "max_tokens", admission)

    async def ask(self, number: int) -> None:
        """One request, which goes on to the other model if the first can't."""
        random = self.random
        notes = Noted(random.randrange(1, 5000), whole=random.random() < 0.3, rank=random.choice(RANKED))
        notes.tenant, notes.weight = random.choice("abc"), random.choice((1, 4))
        fields = {"messages": msgspec.Raw(b"%d" % random.randrange(40))}
        deadline = self.clock() + random.choice((2, 30))
        call = Call(f"c{number}", "chat", fields, "public", not notes.whole, show_usage=False, deadline=deadline)
        for version in (self.first, self.other):
            hedge = self.hedge if random.random() < 0.7 else None
            affinity = Affinity(b"%d" % random.randrange(5), b"said")
            dispatching = self.dispatcher.dispatch(version, call, affinity, notes, hedge)
            try:
                with await self._with_copy(version, call, notes, dispatching) as reply:
                    async for _ in reply:
                        pass
            except (EngineError, NoReplica, Quarantined, Shed):
                continue
            finally:
                self.waited += notes.queued > 0
            return

    def _with_copy(
        self, version: Version, call: Call, notes: Noted, dispatching: Coroutine[Any, Any, Dispatched]
    ) -> Coroutine[Any, Any, Dispatched | Shadowed]:
        """If the shadow wants one."""
        if not self.shadow.wants(version):
            return dispatching
        copy = self.shadow.copy(replace(call, id=f"{call.id}-shadow"), NO_AFFINITY, notes)
        return copy.beside(dispatching)

    async def client(self, number: int) -> None:
        """Stays, or leaves at any moment."""
        task = asyncio.ensure_future(self.ask(number))
        if self.random.random() < 0.4:
            await asyncio.sleep(self.random.choice((0, 0, 0.01, 0.3, 0.5, 0.5000001, 1, 2)))
            for _ in range(self.random.randrange(1, 3)):
                task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, RuntimeError | OSError)

    async def sweep(self) -> None:
        """Meanwhile replicas come and go, and people eject them."""
        while True:
            await asyncio.sleep(0.1)
            for version in (self.first, self.other, self.shadow_version):
                _waits_for_a_reason(version.admission)
                version.admission.refresh()
            for replica in self.replicas:
                assert replica.tokens == sum(notes.tokens for notes in replica.active)
                assert replica.prompts == sum(notes.prompt for notes, sent in replica.active.items() if sent >= 0)
            match self.random.randrange(20):
                case 0:
                    some = self.random.sample(self.replicas[:3], self.random.randrange(4))
                    self.first.admission.replace(some, self.first.admission.terms)
                case 1:
                    self.other.pool.eject(self.replicas[3], self.random.choice((None, 1.0)))
                case 2:
                    self.other.pool.restore(self.replicas[3])

    async def live(self, requests: int) -> None:
        sweep = asyncio.ensure_future(self.sweep())
        sweep.add_done_callback(lambda it: it.cancelled() or it.exception())
        clients = []
        for number in range(requests):
            clients.append(asyncio.ensure_future(self.client(number)))
            await asyncio.sleep(self.random.choice((0, 0, 0, 0.01, 0.2)))
        await asyncio.gather(*clients)
        await asyncio.sleep(60)
        assert not sweep.done(), sweep.result()
        sweep.cancel()
        await asyncio.wait((sweep,))
        assert asyncio.all_tasks() == {asyncio.current_task()}


def _waits_for_a_reason(admission: Admission) -> None:
    """Whoever is first waits because there is no room; and no replica is kept free for somebody who is gone."""
    pool, waiting = admission.pool, list(admission.queue.heads())
    if pool.reserved is not None:
        assert admission._reserved_for is not None
        assert admission._reserved_for in admission.queue
    elif waiting and not waiting[0].turn.done():
        assert pool.is_full() or pool.place(waiting[0].notes, NO_AFFINITY) is None

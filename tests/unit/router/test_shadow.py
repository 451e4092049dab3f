"""Copies of requests: sampled, bounded, beside their request, compared with it, and ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random

import pytest
from msgspec.structs import replace

from engines.api import Call, Capacity, EngineError, Failed, Interrupted, Overloaded, Unreachable
from gateway.finish import FinishEar
from gateway.shadow_scores import ShadowScores
from router.api import NO_AFFINITY, Quarantined, Replica
from router.dispatch import Dispatched, Dispatcher
from router.model import Version
from router.quarantine import Quarantine
from router.shadow import Copy, Shadow, Shadowed
from tests.support.gates import Answer, Gate, Noted
from tests.support.models import made_of
from tests.support.waiting import settle, until

CALL = Call("call-1", "chat", {}, "public", stream=True, show_usage=False, deadline=1e9)


class Stand:
    """One replica of the version that answers, and one of its shadow."""

    def __init__(self, share: float = 1.0, concurrency: int = 2) -> None:
        self.primary, self.gate = Gate(), Gate()
        self.version, self.version_of_shadow = _version("public", self.primary), _version("shadow", self.gate)
        self.scores = ShadowScores()
        self.quarantine = Quarantine(lambda: 0.0, b"key")
        self._dispatcher = Dispatcher(self.quarantine)
        self.shadow = Shadow(
            self.version_of_shadow, share, concurrency, self.scores, FinishEar, Random(1).random, lambda: 0.0
        )

    def copy(self, deadline: float = 1e9) -> Copy:
        assert self.shadow.wants(self.version)
        return self.shadow.copy(replace(CALL, id="call-1-shadow", deadline=deadline), NO_AFFINITY, Noted(5))

    def dispatching(self) -> Coroutine[object, object, Dispatched]:
        return self._dispatcher.dispatch(self.version, replace(CALL), NO_AFFINITY, Noted())

    def beside(self, copy: Copy) -> asyncio.Task[Shadowed]:
        return asyncio.get_running_loop().create_task(copy.beside(self.dispatching()))

    @property
    def replica(self) -> Replica:
        return self.version_of_shadow.pool.replicas[0]

    def is_idle(self) -> bool:
        replicas = [*self.version.pool.replicas, self.replica]
        return not self.scores.running and not any(replica.in_flight or replica.tokens for replica in replicas)


def _version(name: str, gate: Gate) -> Version:
    model = made_of(name, [Replica(f"{name}-0", gate)])
    assert model.only is not None
    return model.only


async def read(task: asyncio.Task[Shadowed]) -> None:
    with await task as reply:
        async for _ in reply:
            pass


async def test_a_copy_is_read_to_its_end_and_compared_with_its_request() -> None:
    stand = Stand()
    task = stand.beside(stand.copy())
    await settle()
    assert [call.id for call in stand.gate.calls] == ["call-1-shadow"]
    assert (stand.replica.in_flight, stand.replica.tokens, stand.replica.calls) == (1, 5, 1)
    stand.primary.end(Answer())
    await read(task)
    assert sum(spread.sum for _, spread in stand.scores.tokens) == 0, "the copy is still on its way"
    stand.gate.end(Answer())
    await settle()
    assert [(side, spread.sum) for side, spread in stand.scores.tokens] == [("primary", 1), ("shadow", 1)]
    assert (stand.scores.agreed, stand.scores.disagreed, dict(stand.scores.outcomes)) == (1, 0, {"answered": 1})
    assert stand.gate.given[0].closed == 1
    assert stand.replica.breaker.outcomes.firsts == 1, "its pool judges it by copies, too"
    assert stand.is_idle()


async def test_a_copy_that_is_sooner_done_waits_for_nobody_and_is_compared_all_the_same() -> None:
    stand = Stand()
    task = stand.beside(stand.copy())
    await settle()
    stand.gate.end(Answer(finish=b"length"))
    await settle()
    assert not stand.scores.running
    stand.primary.end(Answer())
    await read(task)
    assert (stand.scores.agreed, stand.scores.disagreed) == (0, 1)
    assert stand.is_idle()


@pytest.mark.parametrize("error", [Unreachable("x"), Failed("x", died=True), Overloaded("x"), ValueError("x")])
async def test_p36_a_copy_that_fails_is_noticed_by_nobody_but_its_pool(error: Exception) -> None:
    stand = Stand()
    task = stand.beside(stand.copy())
    await settle()
    stand.gate.end(error)
    await settle()
    assert dict(stand.scores.outcomes) == {"failed": 1}
    assert stand.replica.failures.total() == isinstance(error, EngineError)
    stand.primary.end(Answer())
    await read(task)
    assert stand.scores.agreed + stand.scores.disagreed == 0
    assert repr(stand.quarantine) == "<Quarantine 0 suspects>", "a copy that kills its server quarantines no prompt"
    assert len(stand.gate.calls) == 1, "and nobody tries again"
    assert stand.is_idle()


async def test_p36_beyond_its_places_a_request_is_not_copied_and_that_is_counted_at_once() -> None:
    stand = Stand(concurrency=2)
    copies = [stand.copy(), stand.copy()]
    assert not stand.shadow.wants(stand.version)
    assert dict(stand.scores.outcomes) == {"dropped": 1}
    for copy in copies:
        copy.cancel()
    await settle()
    assert stand.shadow.wants(stand.version), "a copy that was cancelled before it began gives its place back, too"
    assert dict(stand.scores.outcomes) == {"dropped": 1, "cancelled": 2}
    assert stand.is_idle()


async def test_p36_a_shadow_that_pushes_back_gets_no_more() -> None:
    stand = Stand()
    stand.replica.breaker.pushed_back(0.0, 0.0, 60.0)
    assert not stand.shadow.wants(stand.version)
    assert dict(stand.scores.outcomes) == {"dropped": 1}


async def test_p36_a_copy_for_which_there_is_no_place_is_dropped_and_waits_for_none() -> None:
    stand = Stand()
    pool = stand.version_of_shadow.pool
    pool.capacity = Capacity(requests=1)
    pool.replace(pool.replicas)
    placed, dropped = stand.copy(), stand.copy()
    await settle()
    assert (stand.replica.in_flight, len(stand.gate.calls), dropped.replica) == (1, 1, "")
    assert dict(stand.scores.outcomes) == {"dropped": 1}
    placed.cancel()
    await settle()
    assert stand.is_idle()


async def test_p36_copies_leave_room_to_all_that_somebody_waits_for() -> None:
    stand = Stand(concurrency=8)
    pool = stand.version_of_shadow.pool
    pool.capacity = Capacity(requests=8)
    pool.replace(pool.replicas)
    copies = [stand.copy() for _ in range(8)]
    await settle()
    assert (stand.replica.in_flight, dict(stand.scores.outcomes)) == (7, {"dropped": 1})
    assert pool.place(Noted(5), NO_AFFINITY) is stand.replica
    for copy in copies:
        copy.cancel()
    await settle()
    assert stand.is_idle()


async def test_p36_while_somebody_waits_for_the_shadow_version_itself_it_gets_no_copy() -> None:
    stand = Stand()
    stand.version_of_shadow.pool.freed = lambda: None
    assert not stand.shadow.wants(stand.version)
    assert dict(stand.scores.outcomes) == {"dropped": 1}
    stand.version_of_shadow.pool.freed = None
    assert stand.shadow.wants(stand.version)


def test_a_share_is_copied_and_never_what_the_shadow_answers_itself() -> None:
    stand = Stand(share=0.3)
    assert 250 < sum(stand.shadow.wants(stand.version) for _ in range(1000)) < 350
    assert not any(stand.shadow.wants(stand.version_of_shadow) for _ in range(1000))
    assert not any(Stand(share=0.0).shadow.wants(stand.version) for _ in range(1000))


async def test_p36_a_client_who_leaves_cancels_both() -> None:
    stand = Stand()
    task = stand.beside(stand.copy())
    await settle()
    task.cancel()
    await settle()
    assert (stand.primary.left, stand.gate.left) == (1, 1)
    assert dict(stand.scores.outcomes) == {"cancelled": 1}
    assert stand.is_idle()


@pytest.mark.parametrize("why", [asyncio.CancelledError(), Interrupted("x")])
async def test_p36_an_answer_that_breaks_off_cancels_its_copy(why: BaseException) -> None:
    stand = Stand()
    task = stand.beside(stand.copy())
    await settle()
    stand.primary.end(Answer())
    with pytest.raises(type(why)), await task:
        raise why
    await settle()
    assert (stand.gate.left, dict(stand.scores.outcomes)) == (1, {"cancelled": 1})
    assert stand.is_idle()


async def test_a_request_that_is_refused_before_it_waits_is_not_copied() -> None:
    stand = Stand()
    for replica in ("a", "b"):
        stand.quarantine.died(CALL, replica)
    with pytest.raises(Quarantined):
        await stand.copy().beside(stand.dispatching())
    await settle()
    assert stand.gate.calls == []
    assert stand.is_idle()


async def test_a_copy_lives_no_longer_than_its_request_may() -> None:
    stand = Stand()
    stand.copy(deadline=asyncio.get_running_loop().time() + 0.01)
    await until(lambda: not stand.scores.running)
    assert (stand.gate.left, dict(stand.scores.outcomes)) == (1, {"failed": 1})
    assert stand.is_idle()


async def test_a_reply_that_can_forward_is_heard_as_well() -> None:
    stand = Stand()
    task = stand.beside(stand.copy())
    await settle()
    stand.primary.end(Forwarding())
    stand.gate.end(Forwarding())
    with await task as reply:
        taken = Taken()
        await reply.forward(taken)  # type: ignore[attr-defined]
    await settle()
    assert taken.data == Forwarding.DATA
    assert stand.scores.agreed == 1


class Forwarding(Answer):
    DATA = b'data: {"choices":[{"finish_reason":"stop"}]}\n\n'

    async def forward(self, sink: Taken | Copy) -> None:
        sink.take(self.DATA)


class Taken:
    def __init__(self) -> None:
        self.data = b""

    def take(self, data: bytes) -> bool:
        self.data += data
        return True

    async def drain(self) -> None: ...

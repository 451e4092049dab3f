"""How left calls end: at once, at a rate, or by themselves; and what outlives a request has an owner."""

from __future__ import annotations

import asyncio

import pytest

from engines.generating.cancelling import Cancelling, CancelPolicy
from engines.generating.detached import MAX_BYTES, MAX_HELD, Detached
from engines.grpc.api import Code, RpcError
from engines.sweeper import TICK, Sweeper
from tests.support.scripted_rpc import ScriptedRpc
from tests.support.waiting import PATIENCE, settle


class Clock:
    """Time that passes only when told to, with the sweeper's ticks."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sweeper = Sweeper()

    def __call__(self) -> float:
        return self.now

    async def tick(self) -> None:
        self.now += TICK
        self.sweeper.sweep(self.now)
        await settle()


async def test_without_a_rate_a_call_is_its_own_and_cancelled_at_once() -> None:
    clock = Clock()
    cancelling = Cancelling(clock.sweeper, clock)
    rpc = ScriptedRpc(silent=True)
    assert cancelling.opened(rpc) is rpc
    cancelling.let_go(rpc, "r")
    assert rpc.cancelled == 1


async def test_p24_two_hundred_in_a_second_are_spread() -> None:
    """P24: never more than the rate in any second, to within a sweep; none is forgotten."""
    clock = Clock()
    cancelling = Cancelling(clock.sweeper, clock, rate=50)
    rpcs = [ScriptedRpc(silent=True) for _ in range(200)]
    opened = [cancelling.opened(rpc) for rpc in rpcs]
    done = []
    for at in range(60):
        for rpc in opened[at * 20 : (at + 1) * 20]:
            cancelling.let_go(rpc, "r")
        await clock.tick()
        done.append(sum(rpc.cancelled for rpc in rpcs))
    each = [now - before for before, now in zip([0, *done], done, strict=False)]
    assert done[-1] == 200
    assert max(sum(each[at : at + 10]) for at in range(len(each))) <= 50 + 5
    assert repr(clock.sweeper) == "<Sweeper 0 watched>"
    assert "0 heard here" in repr(cancelling)


async def test_p24_a_loop_that_stood_still_does_not_make_up_for_it() -> None:
    """P24: however late the sweep comes, it sends no more than one sweep may."""
    clock = Clock()
    cancelling = Cancelling(clock.sweeper, clock, rate=50)
    rpcs = [ScriptedRpc(silent=True) for _ in range(200)]
    for rpc in [cancelling.opened(rpc) for rpc in rpcs]:
        cancelling.let_go(rpc, "r")
    clock.now += 10
    await clock.tick()
    assert sum(rpc.cancelled for rpc in rpcs) <= 1 + 50 * TICK + 1
    await cancelling.aclose()


async def test_a_call_that_ends_while_it_waits_is_not_cancelled() -> None:
    clock = Clock()
    cancelling = Cancelling(clock.sweeper, clock, rate=1)
    rpcs = [ScriptedRpc(silent=True) for _ in range(3)]
    opened = [cancelling.opened(rpc) for rpc in rpcs]
    await settle()
    for rpc in opened:
        cancelling.let_go(rpc, "r")
    rpcs[1].tell(end=True)
    await settle()
    for _ in range(12):
        await clock.tick()
    assert [rpc.cancelled for rpc in rpcs] == [1, 0, 1]  # the second's turn was given to the third


async def test_a_call_that_has_ended_takes_nobodys_turn() -> None:
    """Its request may leave before it has heard of the end."""
    clock = Clock()
    cancelling = Cancelling(clock.sweeper, clock, rate=1)
    ended, going = ScriptedRpc([b"last"]), ScriptedRpc(silent=True)
    opened = [cancelling.opened(rpc) for rpc in (ended, going)]
    await settle()
    for rpc in opened:
        cancelling.let_go(rpc, "r")
    assert (ended.cancelled, going.cancelled) == (0, 1)


async def test_drained_calls_are_read_to_their_end() -> None:
    clock = Clock()
    cancelling = Cancelling(clock.sweeper, clock, policy="drain-then-discard")
    rpc = ScriptedRpc([b"1"], silent=True)
    opened = cancelling.opened(rpc)
    assert await opened.read() == b"1"
    cancelling.let_go(opened, "r")
    with pytest.raises(RpcError) as caught:
        await opened.read()
    assert caught.value.code is Code.CANCELLED
    rpc.tell(*[b"x"] * 1000)
    await settle()
    assert rpc.cancelled == 0
    assert "1 heard here" in repr(cancelling)
    rpc.tell(end=True)
    await settle()
    assert rpc.cancelled == 0
    assert "0 heard here" in repr(cancelling)


async def test_closing_ends_what_is_still_owned() -> None:
    clock = Clock()
    cancelling = Cancelling(clock.sweeper, clock, policy="drain-then-discard")
    rpc = ScriptedRpc(silent=True)
    cancelling.let_go(cancelling.opened(rpc), "r")
    await settle()
    await cancelling.aclose()
    assert rpc.cancelled == 1
    assert "0 heard here" in repr(cancelling)


@pytest.mark.parametrize("rate", [None, 0.5])
async def test_closing_leaves_nothing_behind_of_what_it_lets_go(rate: float | None) -> None:
    clock = Clock()
    cancelling = Cancelling(clock.sweeper, clock, rate=rate, tell=lambda _request: ScriptedRpc(silent=True))
    for _ in range(3):
        cancelling.let_end(cancelling.opened(ScriptedRpc(silent=True)), "r")
    await settle()
    await cancelling.aclose()
    assert repr(cancelling) == "<Cancelling cancel, 0 wait to be cancelled, 0 heard here>"
    assert repr(clock.sweeper) == "<Sweeper 0 watched>"


@pytest.mark.parametrize("policy", ["cancel", "drain-then-discard"])
async def test_closing_lets_go_of_what_has_only_just_been_opened(policy: CancelPolicy) -> None:
    """A task that is cancelled before its first step does nothing at its end."""
    clock = Clock()
    told: list[ScriptedRpc] = []

    def tell(_request: str) -> ScriptedRpc:
        told.append(ScriptedRpc(silent=True))
        return told[-1]

    cancelling = Cancelling(clock.sweeper, clock, policy=policy, rate=1 if policy == "cancel" else None, tell=tell)
    rpcs = [ScriptedRpc(silent=True) for _ in range(3)]
    opened = [cancelling.opened(rpc) for rpc in rpcs]
    cancelling.let_go(opened[1], "r")
    cancelling.let_end(opened[2], "r")
    await cancelling.aclose()
    async with asyncio.timeout(PATIENCE):
        assert await opened[0].read() is None
    assert [rpc.cancelled for rpc in (*rpcs, *told)] == [1] * (3 + len(told))
    assert len(told) == (policy == "cancel")


async def test_the_model_inside_is_told_with_the_same_id() -> None:
    clock = Clock()
    told = []

    def tell(request: str) -> ScriptedRpc:
        told.append(request)
        return ScriptedRpc([b"empty"], RpcError(Code.UNAVAILABLE, "gone"))

    cancelling = Cancelling(clock.sweeper, clock, tell=tell)
    cancelling.let_go(ScriptedRpc(silent=True), "call-7")
    await settle()
    assert told == ["call-7"]
    assert "0 heard here" in repr(cancelling)


@pytest.mark.parametrize("flowing", [False, True])
async def test_a_detached_call_is_read_like_any_other(flowing: bool) -> None:
    rpc = ScriptedRpc([b"%d" % at for at in range(100)], RpcError(Code.INTERNAL, "why"))
    detached = Detached(rpc)
    pump = asyncio.ensure_future(detached.pump())
    got: list[bytes] = []

    def take(message: bytes) -> bool:
        got.append(message)
        return len(got) % 7 > 0

    if flowing:
        while len(got) < 100:
            await detached.flow(take)
    else:
        await settle()
        assert len(rpc._messages) == 100 - MAX_HELD  # the server waits for the reader
        while len(got) < 100:
            got.append(await detached.read() or b"")
    assert got == [b"%d" % at for at in range(100)]
    for _ in range(2):
        with pytest.raises(RpcError, match="why"):
            await detached.read()
    await pump


async def test_a_reader_that_is_behind_makes_a_server_of_long_messages_wait_sooner() -> None:
    """A server that repeats all of a text with each token sends many that are as long as the text."""
    rpc = ScriptedRpc([bytes(MAX_BYTES // 2)] * MAX_HELD)
    detached = Detached(rpc)
    pump = asyncio.ensure_future(detached.pump())
    await settle()
    assert len(rpc._messages) == MAX_HELD - 2
    for _ in range(MAX_HELD):
        assert await detached.read() == bytes(MAX_BYTES // 2)
    assert await detached.read() is None
    await pump


async def test_what_a_reader_raises_is_its_own_and_ends_no_call() -> None:
    """A client's connection may be closed already when a message comes, and its request not quite."""
    rpc = ScriptedRpc(silent=True)
    detached = Detached(rpc)
    pump = asyncio.ensure_future(detached.pump())

    def take(message: bytes) -> bool:
        raise RuntimeError(message.decode())

    flow = asyncio.ensure_future(detached.flow(take))
    await settle()
    rpc.tell(b"closed")
    with pytest.raises(RuntimeError, match="closed"):
        await flow
    detached.cancel()
    rpc.tell(b"more", end=True)
    await pump
    assert rpc.cancelled == 0


async def test_a_reader_that_stops_at_the_last_message_held_hears_the_next() -> None:
    rpc = ScriptedRpc([b"%d" % at for at in range(MAX_HELD)])
    detached = Detached(rpc)
    pump = asyncio.ensure_future(detached.pump())
    await settle()
    got: list[bytes] = []

    def take(message: bytes) -> bool:
        got.append(message)
        return len(got) < MAX_HELD

    await detached.flow(take)
    assert len(got) == MAX_HELD
    async with asyncio.timeout(PATIENCE):
        assert await detached.read() is None
    await pump


async def test_a_reader_that_is_cancelled_takes_nothing_with_it() -> None:
    rpc = ScriptedRpc(silent=True)
    detached = Detached(rpc)
    pump = asyncio.ensure_future(detached.pump())
    for reading in (detached.read(), detached.flow(lambda _message: True)):
        task = asyncio.ensure_future(reading)
        await settle()
        task.cancel()
        await asyncio.wait([task])
    rpc.tell(b"still here", end=True)
    assert await detached.read() == b"still here"
    assert await detached.read() is None
    assert rpc.cancelled == 0
    await pump

"""Attempts: bounded, only before content, one lease each, and the error that is told is the most telling one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Self

import pytest
from msgspec.structs import replace

from engines.api import (
    Call,
    EngineError,
    Failed,
    Health,
    Interrupted,
    Overloaded,
    Rejected,
    Reply,
    TimedOut,
    Unreachable,
    Usage,
)  # fmt: skip
from router.api import NO_AFFINITY, NoReplica, Quarantined, Replica
from router.dispatch import Dispatched, Dispatcher
from router.model import Version
from router.quarantine import Quarantine
from tests.support.gates import Noted
from tests.support.models import made_of

CALL = Call("call-1", "chat", {}, "public", stream=False, show_usage=False, deadline=1e9)


class Told:
    """A reply of no content that knows whether it was closed."""

    headers: Mapping[bytes, bytes] = {}
    usage: Usage | None = None

    def __init__(self, *, fails_to_close: bool = False) -> None:
        self.closed = False
        self._fails_to_close = fails_to_close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.closed = True
        if self._fails_to_close:
            raise OSError


class Says:
    """An engine that answers, fails, or waits for ever (`None`)."""

    def __init__(self, what: Told | EngineError | None) -> None:
        self._what = what
        self.calls = 0

    async def start(self) -> None: ...

    async def call(self, call: Call) -> Reply:
        self.calls += 1
        if self._what is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(self._what, EngineError):
            raise self._what
        assert self._what is not None
        return self._what

    async def probe(self) -> Health:
        return Health(ready=True)

    async def aclose(self) -> None: ...


def version(*whats: Told | EngineError | None) -> Version:
    model = made_of("public", [Replica(f"r{number}", Says(what)) for number, what in enumerate(whats)])
    assert model.only is not None
    return model.only


class Asking(Dispatcher):
    """Asks for the least there is."""

    async def ask(self, of: Version, call: Call, taken: Noted) -> Dispatched:
        return await self.dispatch(of, call, NO_AFFINITY, taken)


def dispatcher(attempts: int = 3) -> Asking:
    return Asking(Quarantine(lambda: 0.0, b"key"), attempts)


def in_flight(of: Version) -> int:
    assert all((replica.tokens > 0) == (replica.in_flight > 0) for replica in of.pool.replicas)
    return sum(replica.in_flight for replica in of.pool.replicas)


@pytest.mark.parametrize(
    "error", [Unreachable("x"), Overloaded("x"), Failed("x"), TimedOut("connect", 1), TimedOut("first_token", 1)]
)
async def test_what_is_safe_to_retry_fails_over(error: EngineError) -> None:
    reply, taken = Told(), Noted()
    of = version(error, reply)
    with await dispatcher().ask(of, CALL, taken) as got:
        assert got is reply
        assert [replica.in_flight for replica in of.pool.replicas] == [0, 1]
    assert (taken.attempts, taken.replica, reply.closed, in_flight(of)) == (2, "r1", True, 0)
    assert taken.failed == (("r0", type(error)),)


async def test_what_another_server_has_used_in_vain_is_not_told() -> None:
    call = replace(CALL, spent=Usage(7, 1))
    with await dispatcher().ask(version(Told()), call, Noted()):
        assert call.spent is None
    call.spent = Usage(7, 1)
    with pytest.raises(Failed):
        await dispatcher().ask(version(Failed("x")), call, Noted())
    assert call.spent == Usage(7, 1)


@pytest.mark.parametrize("error", [Rejected("x"), Interrupted("x")])
async def test_p09_the_callers_mistake_and_a_broken_answer_are_not_tried_again(error: EngineError) -> None:
    taken, of = Noted(), version(error, Told())
    with pytest.raises(type(error)):
        await dispatcher().ask(of, CALL, taken)
    assert (taken.attempts, taken.failed, in_flight(of)) == (1, (("r0", type(error)),), 0)


async def test_p16_attempts_are_bounded() -> None:
    taken, of = Noted(), version(*(Failed("x") for _ in range(5)))
    with pytest.raises(Failed):
        await dispatcher(attempts=3).ask(of, CALL, taken)
    assert (taken.attempts, in_flight(of)) == (3, 0)


async def test_p16_beyond_the_budget_nothing_is_tried_again() -> None:
    taken, of = Noted(), version(Failed("x"), Told())
    while of.pool.retries.may_retry(10**9):
        pass
    with pytest.raises(Failed):
        await dispatcher().ask(of, CALL, taken)
    assert (taken.attempts, in_flight(of)) == (1, 0)


async def test_p16_while_requests_are_turned_away_nothing_is_tried_again() -> None:
    taken, of = Noted(), version(Failed("x"), Told())
    of.pool.shedding = True
    with pytest.raises(Failed):
        await dispatcher().ask(of, CALL, taken)
    assert (taken.attempts, in_flight(of)) == (1, 0)


async def test_p16_no_replica_is_asked_twice() -> None:
    taken, of = Noted(), version(Failed("x"), Failed("x"))
    with pytest.raises(Failed):
        await dispatcher(attempts=10).ask(of, CALL, taken)
    assert taken.attempts == 2


async def test_p16_after_a_silent_replica_one_more_is_asked_and_no_third() -> None:
    taken, of = Noted(), version(*(TimedOut("first_token", 1) for _ in range(5)))
    with pytest.raises(TimedOut):
        await dispatcher(attempts=5).ask(of, CALL, taken)
    assert taken.attempts == 2


async def test_nobody_is_asked_after_the_deadline() -> None:
    taken, of = Noted(), version(*(TimedOut("total", 1) for _ in range(5)))
    with pytest.raises(TimedOut):
        await dispatcher(attempts=3).ask(of, CALL, taken)
    assert taken.attempts == 1


async def test_a_connect_timeout_costs_the_server_nothing_and_counts_as_any_failure() -> None:
    taken, of = Noted(), version(*(TimedOut("connect", 1) for _ in range(5)))
    with pytest.raises(TimedOut):
        await dispatcher(attempts=3).ask(of, CALL, taken)
    assert taken.attempts == 3


async def test_p17_overload_is_told_before_other_failures_because_it_says_when_to_come_back() -> None:
    of = version(Overloaded("x", retry_after=7), Failed("x"))
    with pytest.raises(Overloaded) as caught:
        await dispatcher().ask(of, CALL, Noted())
    assert caught.value.retry_after == 7


async def test_a_model_without_replicas_says_so() -> None:
    with pytest.raises(NoReplica):
        await dispatcher().ask(version(), CALL, Noted())


async def test_p01_a_cancelled_attempt_gives_its_place_back() -> None:
    of = version(None)
    task = asyncio.create_task(dispatcher().ask(of, CALL, Noted()))
    await asyncio.sleep(0)
    assert in_flight(of) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert in_flight(of) == 0


async def test_the_place_is_given_back_even_if_closing_the_reply_fails() -> None:
    of = version(Told(fails_to_close=True))
    with pytest.raises(OSError), await dispatcher().ask(of, CALL, Noted()):  # noqa: PT011
        assert in_flight(of) == 1
    assert in_flight(of) == 0


async def test_the_place_is_given_back_even_if_the_reply_can_not_be_entered() -> None:
    class Stubborn(Told):
        def __enter__(self) -> Self:
            raise OSError

    reply = Stubborn()
    of = version(reply)
    with pytest.raises(OSError), await dispatcher().ask(of, CALL, Noted()):  # noqa: PT011
        pass
    assert (in_flight(of), reply.closed) == (0, True)


async def test_a_place_is_given_back_once() -> None:
    of = version(Told())
    dispatched = await dispatcher().ask(of, CALL, Noted())
    with dispatched:
        dispatched.__exit__(None, None, None)
    assert in_flight(of) == 0


async def test_p14_a_request_takes_down_two_servers_and_is_then_refused() -> None:
    taken, of, asking = Noted(), version(*(Failed("x", died=True) for _ in range(4))), dispatcher()
    with pytest.raises(Failed):
        await asking.ask(of, CALL, taken)
    assert (taken.attempts, in_flight(of)) == (2, 0)
    with pytest.raises(Quarantined):
        await asking.ask(of, CALL, taken)
    assert taken.attempts == 2


async def test_p14_a_server_that_dies_after_content_counts_and_a_whole_answer_clears() -> None:
    of, asking = version(Told(), Told(), Told()), dispatcher()
    for outcome in ("dies", "answers", "dies"):
        with contextlib.suppress(Interrupted), await asking.ask(of, CALL, Noted()):
            if outcome == "dies":
                raise Interrupted("x", died=True)
    with contextlib.suppress(Interrupted), await asking.ask(of, CALL, Noted()):
        raise Interrupted("x", died=True)
    with pytest.raises(Quarantined):
        await asking.ask(of, CALL, Noted())
    assert in_flight(of) == 0


async def test_a_replica_knows_what_it_has_had_and_how_it_failed() -> None:
    of = version(Unreachable("x"), Told())
    first, second = of.pool.replicas
    for broken in (False, True):
        with contextlib.suppress(Interrupted), await dispatcher().ask(of, CALL, Noted()):
            if broken:
                raise Interrupted("x")
    assert (first.calls, second.calls) == (1, 2), "the second request began at the second replica"
    assert (first.failures, second.failures) == ({Unreachable: 1}, {Interrupted: 1})
    assert repr(second) == "<Replica r1 [0 in flight, 1 of 2 failed, closed]>"


async def test_a_client_that_leaves_says_nothing_of_the_replica() -> None:
    of = version(Told())
    with contextlib.suppress(asyncio.CancelledError), await dispatcher().ask(of, CALL, Noted()):
        raise asyncio.CancelledError
    assert (of.pool.replicas[0].calls, of.pool.replicas[0].failures.total()) == (1, 0)

"""What a request is charged in the end, for each way in which it may end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from engines.api import Call, Failed, Interrupted, Overloaded, Rejected, TimedOut, Unreachable, Usage
from gateway.charging import paid
from gateway.config import check
from gateway.edge import Edge
from gateway.errors import DEADLINE, DRAINING
from gateway.exchange import Exchange
from gateway.intake import Intake
from gateway.pricing import PriceList
from gateway.prompt import parse
from gateway.quotas import Quotas
from gateway.reserving import Purchase, Reserving, used
from gateway.wiring import build
from router.api import NoReplica, Quarantined, Shed
from security.limits.api import NOTHING, SECOND, Cost, Quota, Slots, key
from security.limits.budget import Budget
from security.limits.local import LocalLimiter
from tests.flows.failure.test_every_await import HEADERS, PatientSource, SlowWire
from tests.support.asking import body
from tests.support.gateway import configuration
from tests.support.limiting import Book
from tests.unit.gateway.test_quotas import CHAT, caller, plan

EXPECTED = 40
"""Tokens of the prompt, before a model server has counted; with its answer it is ten times that."""
LEFT = asyncio.CancelledError()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a descriptor, not a file's content
        gateway = build(check(configuration(), "test"), tmp_path_factory.mktemp("cache"), nowhere.fileno())
        yield gateway.edge
        gateway.ops.close()


@pytest.fixture
def exchange(edge: Edge) -> Exchange:
    """One that a model server has been asked for, and has not answered yet."""
    made = Exchange(edge, "chat", HEADERS, SlowWire(), Intake(PatientSource(), edge.memory, edge.bounds.body))
    made.record.prompt, made.record.tokens, made.record.attempts = EXPECTED, 10 * EXPECTED, 1
    return made


class Breaking(PriceList):
    """Prices that nobody can reckon with."""

    def cost(self, model: str, at: int, prompt: int, completion: int) -> int:
        raise ZeroDivisionError


class Deaf(Exchange):
    """Which can't be told how limits stand."""

    def limit(self, lines: bytes) -> None:
        raise ZeroDivisionError


def call(spent: Usage | None) -> Call:
    return Call("id", "chat", {}, "m", stream=False, show_usage=False, deadline=1e9, spent=spent)


async def give_up(exchange: Exchange, reason: Any) -> None:
    """As the sweeper or a shutdown does."""
    exchange.task = asyncio.create_task(asyncio.sleep(60))
    exchange.give_up(reason)
    with pytest.raises(asyncio.CancelledError):
        await exchange.task


def test_an_answer_is_charged_as_the_model_server_counted(exchange: Exchange) -> None:
    exchange.record.use(17, 230, exact=True)
    assert used(exchange, None) == Cost(1, 17, 230)


def test_where_it_counts_nothing_the_chunks_and_the_prompt_by_its_size_are(exchange: Exchange) -> None:
    exchange.record.use(0, 12, exact=False)
    assert used(exchange, None) == Cost(1, EXPECTED, 12)


def test_an_answer_in_one_piece_that_nobody_counted_is_charged_as_expected(exchange: Exchange) -> None:
    """It is not free: there are no chunks to count."""
    assert used(exchange, None) == Cost(1, EXPECTED, 9 * EXPECTED)


def test_an_embedding_has_no_answer_to_charge(exchange: Exchange) -> None:
    exchange.record.tokens = EXPECTED
    assert used(exchange, None) == Cost(1, EXPECTED, 0)


@pytest.mark.parametrize("error", [LEFT, Interrupted("It broke."), Interrupted("It was slow.", phase="inter_token")])
def test_what_broke_off_is_charged_what_was_produced(exchange: Exchange, error: BaseException) -> None:
    exchange.record.use(0, 5, exact=False)
    assert used(exchange, error) == Cost(1, EXPECTED, 5)


@pytest.mark.parametrize("reason", [DEADLINE, DRAINING], ids=["deadline", "shutdown"])
async def test_what_was_ended_from_outside_is_charged_what_was_produced(exchange: Exchange, reason: Any) -> None:
    await give_up(exchange, reason)
    assert used(exchange, LEFT) == NOTHING
    exchange.record.use(0, 5, exact=False)
    assert used(exchange, LEFT) == Cost(1, EXPECTED, 5)


async def test_a_time_of_the_caller_s_own_that_was_too_short_is_as_leaving(exchange: Exchange) -> None:
    exchange.deadline -= 1
    await give_up(exchange, DRAINING)
    assert used(exchange, LEFT) == NOTHING
    exchange._reason = DEADLINE
    assert used(exchange, LEFT) == Cost(1, EXPECTED, 0)


def test_who_leaves_before_any_content_pays_for_the_prompt(exchange: Exchange) -> None:
    assert used(exchange, LEFT) == Cost(1, EXPECTED, 0)


def test_who_leaves_before_a_text_in_one_piece_pays_what_was_expected(exchange: Exchange) -> None:
    """It may be nearly there: else who hangs up in time would have a model server work for nothing."""
    exchange.record.whole = True
    assert used(exchange, LEFT) == Cost(1, EXPECTED, 9 * EXPECTED)
    exchange._call = call(Usage(30, 0))
    assert used(exchange, LEFT) == Cost(1, 30, 0), "where the model server tells what it has made"


def test_who_leaves_before_a_model_server_had_it_pays_nothing(exchange: Exchange) -> None:
    exchange.record.attempts, exchange.record.whole = 0, True
    assert used(exchange, LEFT) == NOTHING


@pytest.mark.parametrize("error", [LEFT, Interrupted("It broke.")])
def test_what_was_generated_without_a_reply_to_tell_it_counts(exchange: Exchange, error: BaseException) -> None:
    exchange._call = call(Usage(30, 7))
    assert used(exchange, error) == Cost(1, 30, 7)


def test_what_an_attempt_before_the_answer_used_up_is_not_charged(exchange: Exchange) -> None:
    exchange._call = call(Usage(30, 7))
    exchange.record.use(17, 230, exact=True)
    assert used(exchange, None) == Cost(1, 17, 230)


def test_a_mistake_that_the_model_server_found_is_charged_as_a_request(exchange: Exchange) -> None:
    exchange._call = call(Usage(30, 0))
    assert used(exchange, Rejected("Too long.")) == Cost(1, 0, 0)


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("Gone."), Failed("Nonsense."), TimedOut("first_token", 1.0), Overloaded("Busy.", 1.0), NoReplica(),
        Shed("queue_full", 1.0), Quarantined("chat", 9.0), ZeroDivisionError(), Interrupted("It broke."),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_failure_without_content_is_charged_nothing(exchange: Exchange, error: BaseException) -> None:
    assert used(exchange, error) == NOTHING


async def test_what_was_paid_for_a_mistake_before_it_was_found_is_not_written_down(exchange: Exchange) -> None:
    """As some model servers have counted the prompt by then."""
    exchange._call = call(Usage(30, 0))
    for error in (Rejected("Too long."), Failed("Nonsense."), TimedOut("first_token", 1.0)):
        exchange.conclude(error)
        assert paid(exchange.record) == (0, 0)
    exchange._call = call(Usage(30, 7))
    exchange.conclude(Interrupted("It broke."))
    assert paid(exchange.record) == (30, 7)


def test_an_answer_in_one_piece_that_nobody_counted_is_paid_for_as_expected(exchange: Exchange) -> None:
    record = exchange.record
    record.whole = True
    assert paid(record) == (0, 0), "nothing has been answered"
    record.first_at = 1.0
    assert paid(record) == (EXPECTED, 9 * EXPECTED)
    record.use(17, 0, exact=True)
    assert paid(record) == (17, 0)


async def test_what_an_end_would_cost_that_can_not_be_reckoned_is_not_held_for_ever(exchange: Exchange) -> None:
    limiter = LocalLimiter(lambda: 0.0, Book())
    mine = Slots(key("acme", "slots"), 1)
    quota = Quota("acme", slots=(mine,), budgets=(Budget(key("acme", "day_budget"), 100, "day", 0, 86_400, (), True),))
    for error in (None, LEFT):
        with pytest.raises(ZeroDivisionError):
            Purchase(await limiter.reserve(quota, Cost(1, money=5)), exchange, Breaking(())).__exit__(None, error, None)
        levels = await limiter.levels(quota)
        assert (levels.slots, levels.budgets) == ([0], [0])


@pytest.mark.parametrize(("n", "tokens"), [(1, 7), (3, 21)])
async def test_of_each_answer_the_whole_cap_is_reserved(exchange: Exchange, n: int, tokens: int) -> None:
    limiter, quotas = LocalLimiter(lambda: 0.0), Quotas([plan(tenant={"output_tokens_per_minute": 60})])
    asked = parse("chat", json.dumps(body(n=n, max_tokens=7)).encode())
    hold = Reserving(quotas, limiter, PriceList(()), ietf_headers=False).take(caller(), CHAT, asked, exchange)
    assert hold is not None
    quota = quotas.of(caller(), CHAT)
    assert quota is not None
    assert (await limiter.levels(quota)).buckets == [tokens * SECOND]


@pytest.mark.parametrize("waits", [False, True])
async def test_who_can_not_be_told_how_limits_stand_holds_nothing(edge: Edge, waits: bool) -> None:
    limiter, quotas = LocalLimiter(lambda: 0.0), Quotas([plan(tenant={"concurrent_requests": 1})])
    reserving = Reserving(quotas, limiter, PriceList(()), ietf_headers=False)
    deaf = Deaf(edge, "chat", HEADERS, SlowWire(), Intake(PatientSource(), edge.memory, edge.bounds.body))
    asked = caller(), CHAT, parse("chat", json.dumps(body()).encode()), deaf
    with pytest.raises(ZeroDivisionError):
        await reserving.reserve(*asked) if waits else reserving.take(*asked)
    assert limiter._used == {}

"""The Triton engine against the simulated server: texts, faults, several at once, and what becomes of left calls."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from engines.api import (
    Call,
    EngineError,
    Failed,
    Interrupted,
    Kind,
    Overloaded,
    Rejected,
    Reply,
    Surroundings,
    TimedOut,
    Timers,
    Unreachable,
    Usage,
)
from engines.triton.engine import TritonEngine
from engines.triton.options import TritonOptions
from loadtests.fleet.fleet import Fleet
from loadtests.fleet.replica import Replica
from loadtests.fleet.settings import Settings
from loadtests.fleet.triton.contracts import ContractName
from tests.support.engines_at_work import started, sweeping
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.waiting import PATIENCE, until, until_told

MODELS: dict[ContractName, str] = {"llmapi": "tensorrt_llm", "ensemble": "ensemble"}
CONTRACTS = tuple(MODELS)


class Stage:
    """An engine and the replica it talks to."""

    def __init__(self, engine: TritonEngine, replica: Replica) -> None:
        self.engine = engine
        self.replica = replica
        self._number = 0

    def call(self, kind: Kind = "completion", *, stream: bool = True, **members: Any) -> Call:
        subject: dict[str, Any] = (
            {"messages": [{"role": "user", "content": "Say it."}]} if kind == "chat" else {"prompt": "Say it."}
        )
        asked = {"model": "m", "max_tokens": 8, **subject, **members}
        fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in asked.items()}
        self._number += 1
        deadline = time.monotonic() + 30
        return Call(f"call-{self._number}", kind, fields, "m", stream=stream, show_usage=True, deadline=deadline)

    async def ask(self, kind: Kind = "completion", *, stream: bool = True, **members: Any) -> tuple[list[Any], Usage]:
        """The events, or the one document, and what was used."""
        with await self.engine.call(self.call(kind, stream=stream, **members)) as reply:
            told = b"".join([part async for part in reply])
            assert reply.usage is not None
        if not stream:
            return [msgspec.json.decode(told)], reply.usage
        assert told.endswith(b"data: [DONE]\n\n")
        return [msgspec.json.decode(event[6:]) for event in told.split(b"\n\n")[:-2]], reply.usage

    async def leave(self, tokens: int = 3) -> Reply:
        """A stream that is left after some events."""
        with await self.engine.call(self.call(max_tokens=1000)) as reply:
            events = aiter(reply)
            for _ in range(tokens):
                await anext(events)
        return reply


@contextlib.asynccontextmanager
async def _staged(
    folder: Path,
    transport: str,
    contract: ContractName,
    *,
    timers: Timers | None = None,
    settings: Settings | None = None,
    **options: Any,
) -> AsyncIterator[Stage]:
    async with sweeping() as sweeper, Fleet(settings=settings, contract=contract) as fleet:
        made = TritonOptions(
            url=fleet.targets[0],
            model=MODELS[contract],
            tokenizer=write_tiny_tokenizer(folder),
            transport=transport,
            **options,
        )
        async with started(TritonEngine(made, Surroundings(sweeper, timers or Timers()))) as engine:
            yield Stage(engine, fleet.replicas[0])


Staged = Callable[..., contextlib.AbstractAsyncContextManager[Stage]]


@pytest.fixture(params=["grpc", "http2"])
def staged(request: pytest.FixtureRequest, tmp_path: Path) -> Staged:
    """Every test runs over both transports."""
    return partial(_staged, tmp_path, request.param)


@pytest.fixture(params=CONTRACTS)
def contract(request: pytest.FixtureRequest) -> ContractName:
    name: ContractName = request.param
    return name


async def ended(stage: Stage, outcome: str, count: int = 1) -> None:
    await stage.replica.wait_for(lambda calls: sum(one.outcome == outcome for one in calls) >= count)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
@pytest.mark.parametrize("kind", ["chat", "completion"])
async def test_text_usage_and_reason(contract: ContractName, staged: Staged, kind: Kind, stream: bool) -> None:
    async with staged(contract) as stage:
        events, usage = await stage.ask(kind, stream=stream)
        assert usage == Usage(usage.prompt, 8, exact=True)
        assert usage.prompt > 0
        reasons = [choice["finish_reason"] for event in events for choice in event["choices"]]
        assert reasons[-1] == "length"
        assert events[-1]["usage"]["completion_tokens"] == 8
        await ended(stage, "finished")
        short, usage = await stage.ask(kind, stream=stream, max_tokens=100)
        assert [choice["finish_reason"] for event in short for choice in event["choices"]][-1] == "stop"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_several_choices_of_several_prompts(contract: ContractName, staged: Staged, stream: bool) -> None:
    async with staged(contract) as stage:
        events, usage = await stage.ask(prompt=["One.", "Two more."], n=2, seed=5, max_tokens=4, stream=stream)
        choices = [choice for event in events for choice in event["choices"]]
        texts = {at: "".join(one["text"] for one in choices if one["index"] == at) for at in range(4)}
        assert all(len(text.split()) == 4 for text in texts.values()), texts
        assert sorted(one["index"] for one in choices if one["finish_reason"] == "length") == [0, 1, 2, 3]
        assert usage.completion == 16
        assert usage.exact
        once = [(await stage.ask(prompt=prompt, max_tokens=1))[1].prompt for prompt in ("One.", "Two more.")]
        assert usage.prompt == sum(once)
        seeds = [
            one.body["tensors"].get("seed", one.body["tensors"].get("sampling_param_seed"))
            for one in stage.replica.calls
        ]
        assert seeds[:4] == [5, 6, 5, 6]


async def test_leaving_several_leaves_them_all(staged: Staged) -> None:
    async with staged("llmapi", settings=Settings(tokens=1000, delay_ms=5)) as stage:
        with await stage.engine.call(stage.call(n=3, max_tokens=1000)) as reply:
            await anext(aiter(reply))
            await stage.replica.wait_for(lambda calls: len(calls) == 3)
        await ended(stage, "cancelled", 3)


async def test_one_that_breaks_breaks_all(staged: Staged) -> None:
    async with staged("llmapi", settings=Settings(tokens=1000, delay_ms=5)) as stage:
        prompts = ["One.", "Two. @@fault=error,after=4@@"]
        with pytest.raises(Interrupted):
            await stage.ask(prompt=prompts, max_tokens=1000)
        await ended(stage, "cancelled")
        with pytest.raises(Failed):
            await stage.ask(prompt=prompts, max_tokens=1000, stream=False)
        await ended(stage, "cancelled", 2)


BEFORE: dict[str, tuple[str, type[EngineError]]] = {
    "reset": ("fault=reset", Unreachable),
    "unavailable": ("fault=status,status=14", Unreachable),
    "internal": ("fault=status,status=13", Failed),
    "in band": ("fault=error", Failed),
    "traceback": ("fault=traceback", Failed),
    "no end": ("fault=eof_clean", Failed),
    "wrong type": ("fault=wrong_dtype", Failed),
    "missing output": ("fault=missing_output", Failed),
    "bad UTF-8": ("fault=invalid_utf8", Failed),
    "silence": ("fault=accept_silent", TimedOut),
}
SHORT = Timers(connect=5.0, first_token=0.4, inter_token=0.4)


@pytest.mark.parametrize("fault", BEFORE)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_p19_a_fault_before_any_content(contract: ContractName, staged: Staged, fault: str, stream: bool) -> None:
    directive, expected = BEFORE[fault]
    async with staged(contract, timers=SHORT if fault == "silence" else None) as stage:
        with pytest.raises(expected) as caught:
            await stage.ask(prompt=f"Say it. @@{directive}@@", stream=stream)
        assert "hunter2" not in caught.value.message
        assert "127.0.0.1" not in caught.value.message
        # The connection serves on, or a new one does; grpc.aio may tell of a call before it sees its connection end.
        assert await until_told(partial(_served, stage, Unreachable if fault == "reset" else ())) == 8


async def _served(stage: Stage, excused: type[EngineError] | tuple[()]) -> int:
    """Tokens of an answer; none where there was an error that is excused."""
    try:
        return (await stage.ask())[1].completion
    except excused:
        return 0


AFTER = ("reset_after", "error", "traceback", "eof_clean", "wrong_dtype", "missing_output", "invalid_utf8", "stall")


@pytest.mark.parametrize("fault", AFTER)
async def test_p19_a_fault_after_some_content(contract: ContractName, staged: Staged, fault: str) -> None:
    timers = SHORT if fault == "stall" else None
    async with staged(contract, timers=timers, settings=Settings(delay_ms=1)) as stage:
        with pytest.raises(Interrupted) as caught:
            await stage.ask(prompt=f"Say it. @@fault={fault},after=3@@")
        assert (caught.value.phase is not None) == (fault == "stall")
        assert "hunter2" not in caught.value.message


async def test_a_message_over_the_limit_is_no_content(staged: Staged) -> None:
    async with staged("ensemble", max_message=1 << 20) as stage:
        with pytest.raises((Failed, Interrupted)):
            await stage.ask(prompt="Say it. @@fault=huge,after=0@@")


async def test_queue_full_and_queue_timeout_are_overload(contract: ContractName, staged: Staged) -> None:
    async with staged(contract, settings=Settings(slots=1, max_queue=1, tokens=100, delay_ms=5)) as stage:
        with await stage.engine.call(stage.call(max_tokens=1000)):
            waiting = asyncio.ensure_future(stage.ask())
            await stage.replica.wait_for(lambda calls: len(calls) == 2)
            with pytest.raises(Overloaded):
                await stage.ask()
            waiting.cancel()
        await stage.replica.wait_for(lambda calls: all(one.outcome for one in calls))  # an ensemble runs to its end
        stage.replica.set(max_queue=0, queue_timeout_ms=50)
        with await stage.engine.call(stage.call(max_tokens=1000)), pytest.raises(Overloaded):
            await stage.ask()


async def test_an_unloading_model_is_asked_elsewhere(contract: ContractName, staged: Staged) -> None:
    async with staged(contract) as stage:
        assert stage.replica.triton is not None
        stage.replica.triton.unload(MODELS[contract])
        with pytest.raises(Unreachable):
            await stage.ask()
        health = await stage.engine.probe()
        assert not health.ready
        assert health.reason
        stage.replica.triton.repository.load(MODELS[contract])
        assert (await stage.engine.probe()).ready
        assert (await stage.ask())[1].completion == 8


async def test_the_server_may_come_later(staged: Staged) -> None:
    async with staged("llmapi") as stage:
        stage.engine._model = None
        stage.replica.listen("refused", drop=True)
        with pytest.raises(Unreachable):
            await stage.ask()
        stage.replica.listen("open")
        async with asyncio.timeout(PATIENCE):
            while not (await stage.engine.probe()).ready:
                pass
        assert (await stage.ask())[1].completion == 8


async def test_a_left_call_is_cancelled_there_at_once(staged: Staged) -> None:
    async with staged("llmapi", settings=Settings(tokens=1000, delay_ms=20)) as stage:
        reply = await stage.leave()
        await ended(stage, "cancelled")
        assert reply.usage is not None
        assert abs(stage.replica.calls[0].tokens - reply.usage.completion) <= 4


async def test_in_an_ensemble_the_model_inside_is_told(staged: Staged) -> None:
    """A gRPC cancellation does not reach it; `stop` under the same id does."""
    settings = Settings(tokens=1000, delay_ms=5)
    async with staged("ensemble", settings=settings) as stage:
        await stage.leave()
        await ended(stage, "cancelled")
        assert stage.replica.calls[0].tokens < 500


async def test_p24_drained_calls_go_on_and_their_end_is_seen(contract: ContractName, staged: Staged) -> None:
    """P24: where cancellations are not to be sent, the whole answer is generated, and nobody waits for it."""
    settings = Settings(tokens=100, delay_ms=2)
    async with staged(contract, settings=settings, cancel={"policy": "drain-then-discard"}) as stage:
        await stage.leave()
        task = asyncio.ensure_future(stage.ask(max_tokens=1000))
        await stage.replica.wait_for(lambda calls: len(calls) == 2 and calls[1].tokens > 3)
        task.cancel()
        await ended(stage, "finished", 2)
        assert [one.tokens for one in stage.replica.calls] == [100, 100]
        assert stage.replica.stats()["cancelled"] == 0
        await until(lambda: "0 heard here" in repr(stage.engine))  # trailers are on their way


async def test_p24_cancellations_keep_to_the_rate(staged: Staged) -> None:
    """P24: a burst is spread; those that wait are held back by nobody reading, and end all the same."""
    settings = Settings(tokens=100_000, delay_ms=20)
    async with staged("llmapi", settings=settings, cancel={"rate": 20}) as stage:
        await asyncio.gather(*(stage.leave(1) for _ in range(40)))
        await stage.replica.wait_for(lambda calls: all(one.outcome == "cancelled" for one in calls))
        times = sorted(one.end or 0.0 for one in stage.replica.calls)
        assert len(times) == 40
        for first in times:
            assert sum(first <= one < first + 1 for one in times) <= 1.5 * 20  # what a late sweep catches up with


async def test_what_the_model_can_not_do_never_reaches_it(contract: ContractName, staged: Staged) -> None:
    async with staged(contract) as stage:
        before = stage.replica.calls.counts["started"]
        refused: dict[str, dict[str, Any]] = {
            "logit_bias": {"logit_bias": {"1": 2.0}},
            "tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
            "prompt": {"prompt": "word " * 5000},
        }
        stage.engine._model = None
        stage.engine._options = stage.engine._options.model_copy(
            update={"limits": stage.engine._options.limits.model_copy(update={"sequence": 1000})}
        )
        for param, members in refused.items():
            with pytest.raises(Rejected) as caught:
                await stage.ask("chat" if param == "tools" else "completion", **members)
            assert caught.value.param == param
            assert caught.value.code
        with pytest.raises(Rejected) as caught:
            await stage.engine.call(stage.call("embedding", input="text"))
        assert stage.replica.calls.counts["started"] == before


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_p41_stop_strings_are_matched_here(contract: ContractName, staged: Staged, stream: bool) -> None:
    async with staged(contract, settings=Settings(tokens=1000, delay_ms=2)) as stage:
        whole, _ = await stage.ask(stream=False, max_tokens=6)
        text = whole[0]["choices"][0]["text"]
        stop = text[8:14]
        events, _ = await stage.ask(stream=stream, max_tokens=1000, stop=stop)
        choices = [choice for event in events for choice in event["choices"]]
        assert "".join(choice["text"] for choice in choices) == text[: text.index(stop)]
        assert choices[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("final", ["empty", "flagged"])
async def test_p19_a_hundred_at_once_over_one_connection(
    contract: ContractName, staged: Staged, final: Literal["empty", "flagged"]
) -> None:
    """P19: with the end in a response of its own or in the last one, among answers of nothing, and refusals."""
    async with staged(contract, settings=Settings(final=final, delay_ms=1)) as stage:

        async def text(tokens: int) -> str:
            events, usage = await stage.ask(prompt=f"Say it. @@tokens={tokens}@@", max_tokens=50)
            assert usage.completion == tokens
            return "".join(choice["text"] for event in events for choice in event["choices"])

        async def refused() -> None:
            with pytest.raises(Failed):
                await stage.ask(prompt="Say it. @@fault=error@@")

        wanted = [at % 10 for at in range(100)]
        async with asyncio.timeout(PATIENCE):
            refusals = [asyncio.ensure_future(refused()) for _ in range(20)]
            texts = await asyncio.gather(*map(text, wanted))
            await asyncio.gather(*refusals)
        assert [len(one.split()) for one in texts] == wanted
        assert stage.replica.stats()["cancelled"] == 0

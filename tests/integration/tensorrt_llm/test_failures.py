"""What goes wrong in the child stays there: crashes, dead GPUs, silence, slow tokenizers, callers that leave."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engines.api import EngineError, Failed, Interrupted, Reply, TimedOut, Timers, Unreachable
from engines.sweeper import Sweeper
from engines.tensorrt_llm import child
from engines.tensorrt_llm.engine import OURS, TensorrtLlmEngine
from tests.support.running import running_process
from tests.support.tensorrt_llm import FAKE, Journal, answer, call, chunks, fake_model, running, text_of
from tests.support.waiting import PATIENCE, until, until_told


def child_of(engine: TensorrtLlmEngine) -> Any:
    return engine._child


async def drained(reply: Reply) -> EngineError | None:
    """What ends a stream, or None for its own end."""
    try:
        async for _ in reply:
            pass
    except EngineError as error:
        return error
    return None


async def test_a_crash_interrupts_what_has_begun_and_the_next_child_serves(model: Path, journal: Journal) -> None:
    async with running(model) as engine:
        first = child_of(engine).pid
        with await engine.call(call(stream=True, max_tokens=100_000)) as neighbour:
            with await engine.call(call("@@crash=5@@", stream=True)) as reply:
                crash = await drained(reply)
            assert isinstance(crash, Interrupted)
            assert crash.died
            assert isinstance(await drained(neighbour), Interrupted)
        await until(lambda: child_of(engine).state == "ready" and child_of(engine).pid != first)
        assert child_of(engine).restarts == 1
        assert (await engine.probe()).ready
        assert (await answer(engine, call()))["usage"]["completion_tokens"] == 12
    assert len(journal.notes("load")) == 2


async def test_processes_that_outlive_a_child_do_not_hide_its_end(model: Path, journal: Journal) -> None:
    fake_model(model, worker=True)
    workers = []
    try:
        async with running(model) as engine:
            os.kill(child_of(engine).pid, signal.SIGKILL)
            workers = await journal.until("worker", 2)
            await until(lambda: child_of(engine).state == "ready")
    finally:
        for worker in workers:
            if running_process(worker["pid"]):
                os.kill(worker["pid"], signal.SIGKILL)


async def test_a_crash_before_the_first_token_may_be_tried_elsewhere(model: Path) -> None:
    async with running(model) as engine:
        with pytest.raises(Unreachable) as crash:
            await engine.call(call("@@crash=0@@", stream=True))
        assert crash.value.died
        with pytest.raises(Unreachable) as away:
            await engine.call(call())
        assert not away.value.died
        health = await engine.probe()
        assert not health.ready
        assert engine.load is None


async def test_a_dead_gpu_fails_its_requests_and_the_child_is_started_again(model: Path, journal: Journal) -> None:
    async with running(model) as engine:
        with pytest.raises(Failed) as caught:
            await engine.call(call("@@cuda=0@@", stream=True))
        assert "CUDA" not in caught.value.message
        await journal.until("load", 2)
        await until(lambda: child_of(engine).state == "ready")
        assert (await answer(engine, call()))["usage"]["completion_tokens"] == 12


async def test_a_request_that_fails_alone_leaves_its_neighbours(model: Path) -> None:
    async with running(model) as engine:
        with await engine.call(call(stream=True, max_tokens=200)) as neighbour:
            with await engine.call(call("@@fail=3@@", stream=True)) as reply:
                assert isinstance(await drained(reply), Interrupted)
            assert await drained(neighbour) is None
        assert child_of(engine).restarts == 0


async def test_p05_a_slow_tokenizer_stops_neither_the_loop_nor_the_texts_under_way(model: Path) -> None:
    """P05: here it takes two seconds for one prompt; a stream beside it goes on, and the health is told."""
    async with running(model) as engine:
        with await engine.call(call(stream=True, max_tokens=100_000)) as neighbour:
            slow = asyncio.create_task(engine.call(call("@@tokenise=2@@", stream=True)))
            longest, parts = await _longest_pause(aiter(neighbour), slow)
            with slow.result() as reply:
                assert len(text_of(await chunks(reply))) > 10
        assert parts > 100
        assert longest < 1.0


async def _longest_pause(stream: AsyncIterator[bytes], until_done: asyncio.Task[Reply]) -> tuple[float, int]:
    """Between two parts of the stream, in seconds; and how many there were."""
    clock = asyncio.get_running_loop().time
    longest, parts, last = 0.0, 0, clock()
    while not until_done.done():
        await anext(stream)
        now = clock()
        longest, parts, last = max(longest, now - last), parts + 1, now
    return longest, parts


async def test_p01_leaving_aborts_in_the_llm(model: Path, journal: Journal) -> None:
    """P01: at any moment; while the prompt becomes tokens, the LLM never hears of it."""
    async with running(model) as engine:
        with await engine.call(call(stream=True, max_tokens=100_000)) as reply:
            await anext(aiter(reply))
        (end,) = await journal.until("end")
        assert end["reason"] == "cancelled"
        assert end["tokens"] < 1000
        asking = asyncio.create_task(engine.call(call("@@tokenise=0.3@@", max_tokens=100_000)))
        await until(lambda: bool(engine._child.served.connection._calls))
        asking.cancel()
        await asyncio.wait([asking])
        await answer(engine, call())
        assert len(journal.notes("begin")) == 2


async def test_p24_leaving_can_let_the_llm_go_on(model: Path, journal: Journal) -> None:
    """P24: for versions that cancellations crash."""
    async with running(model, cancel_policy="drain-then-discard") as engine:
        with await engine.call(call(stream=True, max_tokens=50)) as reply:
            await anext(aiter(reply))
        (end,) = await journal.until("end")
    assert (end["reason"], end["tokens"]) == ("length", 50)


async def test_the_gateways_stop_string_aborts_in_the_llm(model: Path, journal: Journal) -> None:
    async with running(model) as engine:
        with await engine.call(call(stream=True, temperature=0, stop=["he r"], max_tokens=100_000)) as reply:
            await chunks(reply)
        assert (await journal.until("end"))[0]["reason"] == "cancelled"


async def test_p07_silence_is_bounded_before_and_after_the_first_token(model: Path, journal: Journal) -> None:
    """P07: and whoever was silent is aborted."""
    async with running(model, Timers(first_token=0.8, inter_token=0.8)) as engine:
        with pytest.raises(TimedOut):
            await engine.call(call("@@stall=0@@", stream=True))
        with await engine.call(call("@@stall=3@@", stream=True)) as reply:
            error = await drained(reply)
        assert isinstance(error, Interrupted)
        assert error.phase
        ends = await journal.until("end", 2)
        assert [end["reason"] for end in ends] == ["cancelled", "cancelled"]


async def test_the_deadline_of_a_call_ends_it(model: Path, journal: Journal) -> None:
    async with running(model) as engine:
        with pytest.raises(TimedOut):
            await engine.call(call("@@stall=0@@", seconds=0.3))
        assert (await journal.until("end"))[0]["reason"] == "cancelled"


async def test_p21_a_client_that_does_not_read_is_waited_for_and_slows_nobody(model: Path, journal: Journal) -> None:
    """P21: of its stream a window is held here, and the rest waits in the child."""
    fake_model(model, delay=0.0005)
    async with running(model) as engine:
        with await engine.call(call(stream=True, max_tokens=1500)) as reply:
            ends = await journal.until("end")
            assert ends[0]["tokens"] == 1500
            (held,) = engine._child.served.connection._calls.values()
            assert len(held._held) <= 32
            assert (await answer(engine, call()))["usage"]["completion_tokens"] == 12
            assert await drained(reply) is None
            assert reply.usage is not None
            assert reply.usage.completion == 1500


async def test_the_load_is_what_the_llm_says_and_nothing_where_it_says_nothing(model: Path) -> None:
    async with running(model, max_batch_size=2) as engine:
        await until(lambda: engine.load is not None and engine.load.running == 0)
        asking = [asyncio.create_task(engine.call(call(stream=True, max_tokens=100_000))) for _ in range(3)]
        await until(lambda: engine.load is not None and (engine.load.running, engine.load.waiting) == (2, 1))
        assert engine.load is not None
        assert engine.load.kv_used == 0.02
        for task in asking:
            task.cancel()
        for task in asking:
            await asyncio.wait([task])
            if not task.cancelled():
                task.result().__exit__(None, None, None)
        await until(lambda: engine.load is not None and engine.load.running == 0)


async def test_a_stopped_child_is_not_ready_but_not_ended(model: Path) -> None:
    async with running(model) as engine:
        pid = child_of(engine).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            health = await engine.probe()
            assert not health.ready
            await until(lambda: engine.load is None)
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: engine.load is not None)
        assert (await engine.probe()).ready
        assert child_of(engine).restarts == 0


async def test_closing_lets_the_model_go_in_order(model: Path, journal: Journal) -> None:
    fake_model(model, leave=1.0)
    async with running(model) as engine:
        pid = child_of(engine).pid
        reply = await engine.call(call(stream=True, max_tokens=100_000))
    assert isinstance(await drained(reply), Interrupted)
    reply.__exit__(None, None, None)
    assert journal.notes("shutdown")
    assert not running_process(pid)


async def test_a_child_ends_with_its_parent(model: Path, journal: Journal) -> None:
    fake_model(model, leave=0.5)
    opening = {"folders": [str(FAKE), str(OURS)], "model": {"arguments": {"model": str(model)}}}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-P", child.__file__, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(opening) + b"\n")
    said = msgspec.json.decode(await process.stdout.readline())
    folder = Path(said["address"]).parent
    assert [path.name for path in folder.iterdir()] == ["socket"]
    reader, writer = await asyncio.open_unix_connection(said["address"])
    await until(lambda: not folder.exists())
    writer.write_eof()  # it is told twice, as by a parent that dies: the second time while it ends
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    process.stdin.close()
    async with asyncio.timeout(PATIENCE):
        await process.communicate()
    assert process.returncode == 0
    assert journal.notes("shutdown")


async def test_where_the_package_is_missing_it_says_what_to_install(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "tensorrt_llm"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    async with running(model) as engine:
        engine._folders = [broken.parent, *engine._folders]
        await engine.aclose()
        with pytest.raises(Unreachable) as caught:
            await engine.start()
    assert "pip install '.[tensorrt-llm]'" in caught.value.message
    assert "libcuda" in caught.value.message


async def test_a_model_that_can_not_be_loaded_says_why(model: Path) -> None:
    fake_model(model, fails="CUDA out of memory while loading")
    with pytest.raises(Unreachable, match="out of memory while loading"):
        async with running(model):
            pass
    with pytest.raises(Unreachable, match="can't be used"):
        async with running(model, tokenizer=model / "nothing"):
            pass


async def test_nothing_stays_behind_after_many_callers_left_at_any_moment(model: Path, journal: Journal) -> None:
    async with running(model) as engine:
        for steps in range(40):
            asking = asyncio.create_task(engine.call(call(stream=True, max_tokens=100_000)))
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled():
                asking.result().__exit__(None, None, None)
        await until_told(lambda: engine._child.served.connection.state(10), lambda state: state.running == 0)
        await until(lambda: len(journal.notes("begin")) == len(journal.notes("end")))
        assert not engine._child.served.connection._calls
        assert repr(engine._surveillance.sweeper) == repr(Sweeper())

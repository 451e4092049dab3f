"""The life of a real llama.cpp child: death and rebirth, keys, models that do not load, parents that die."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engines.api import EngineError, Interrupted, Unreachable
from engines.embedded.engine import EmbeddedEngine
from tests.support.embedded import (
    a_call,
    answer,
    endless,
    pid_of,
    running,
    whole,
    words_of,
)
from tests.support.running import running_process
from tests.support.waiting import PATIENCE, until, wait_until


async def test_a_killed_child_interrupts_its_streams_and_a_new_one_answers(engine: EmbeddedEngine) -> None:
    """P06: no stream looks finished."""
    replies = [await engine.call(endless()) for _ in range(2)]
    pid = pid_of(engine)
    os.kill(pid, signal.SIGKILL)
    for reply in replies:
        with reply, pytest.raises(Interrupted):
            await whole(reply)
    await until(lambda: "ready · 1 restarts" in repr(engine._child))
    assert (await engine.probe()).ready
    assert (await answer(engine, a_call()))["model"] == "public"
    assert pid_of(engine) != pid
    assert re.fullmatch(r"<Child pid \d+ \[ready · 1 restarts]>", repr(engine._child))
    assert engine._slots.held == 0


async def test_while_the_child_is_down_calls_fail_at_once_and_the_probe_says_why(engine: EmbeddedEngine) -> None:
    os.kill(pid_of(engine), signal.SIGKILL)
    await until(lambda: "down" in repr(engine._child))
    with pytest.raises(Unreachable, match="started again"):
        await engine.call(a_call())
    health = await engine.probe()
    assert not health.ready
    assert "SIGKILL" in health.reason


async def test_nobody_without_the_key_is_answered(engine: EmbeddedEngine) -> None:
    status, _ = await engine._child.served._pool.fetch("POST", "/tokenize", b'{"content":"a"}')
    assert status == 401
    assert engine._child._opening.encode() not in words_of(pid_of(engine))


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "There is no model file"), (b"GGUF and nothing more", "did not start")]
)
async def test_a_model_that_can_not_be_loaded_fails_the_start(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=reason):
        async with running(model_path=path):
            pass


async def test_without_a_fetched_model_the_start_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="pull"):
        async with running(cache=tmp_path):
            pass


ORPHAN = """
import asyncio, sys
from tests.support.embedded import running

async def main():
    async with running(model_path=sys.argv[1]) as engine:
        print(engine._child.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_the_child_never_outlives_its_parent(micro: Path, kill: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHAN, str(micro)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert running_process(pid)
        parent.send_signal(kill)
        parent.wait(PATIENCE)
    wait_until(lambda: not running_process(pid))

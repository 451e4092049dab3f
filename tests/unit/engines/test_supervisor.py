"""The life of a child: scripts of three lines stand in for llama.cpp, so each way to die can be chosen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engines.api import Health, Unreachable
from engines.supervisor import Backoff, Manners, Supervisor
from tests.support.running import running_process
from tests.support.waiting import until

GOOD = 'import sys; sys.stdin.readline(); print(\'{"address": "here"}\', flush=True); sys.stdin.read()'
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {GOOD}; import time; time.sleep(60)"
SAYS_WHY = "print('loading'); print('{\"error\": \"no such model\"}', flush=True); raise SystemExit(1)"
CRASHES = "import os, signal; print('words', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"


@dataclass
class Connected:
    address: str
    closed: bool = False

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class Connector:
    made: list[Connected] = field(default_factory=list)

    async def __call__(self, address: str) -> Connected:
        self.made.append(Connected(address))
        return self.made[-1]


def supervised(
    connect: Connector | None = None, first: float = 0.01, manners: Manners | None = None
) -> Supervisor[Connected]:
    return Supervisor(
        connect or Connector(), Backoff(lambda: 0.5, first=first), time.monotonic, manners or Manners("child")
    )


def python(script: str) -> tuple[list[str], str]:
    """What a child is started with."""
    return [sys.executable, "-c", script], "key"


def pid_of(child: Supervisor[Connected]) -> int:
    assert child.pid is not None
    return child.pid


def test_the_pause_doubles_up_to_a_bound_and_a_calm_life_forgets() -> None:
    backoff = Backoff(lambda: 1.0, first=0.5, most=30, calm=60)
    assert [backoff.after(1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [backoff.after(60), backoff.after(59)] == [0.5, 1]


def test_the_pause_is_jittered_between_half_and_whole() -> None:
    assert Backoff(lambda: 0.0, first=2).after(0) == 1
    assert Backoff(lambda: 0.5, first=2).after(0) == 1.5
    assert Backoff(lambda: 0.0).after(0) > 0
    always = Backoff(lambda: 0.0)
    assert all(always.after(0) <= 30 for _ in range(3000))


async def test_a_child_is_ready_once_it_said_where_it_is_and_gone_after_close() -> None:
    connect = Connector()
    child = supervised(connect)
    assert repr(child) == "<Child [starting · 0 restarts]>"
    assert child.absence == Health(ready=False, reason="starting", starting=True)
    await child.start(*python(GOOD))
    pid = pid_of(child)
    assert repr(child) == f"<Child pid {pid} [ready · 0 restarts]>"
    assert child.served.address == "here"
    await child.aclose()
    assert not running_process(pid)
    assert connect.made[0].closed
    assert repr(child) == "<Child [stopped · 0 restarts]>"
    with pytest.raises(Unreachable):
        _ = child.served


async def test_a_killed_child_is_started_again_and_callers_are_refused_meanwhile() -> None:
    connect = Connector()
    child = supervised(connect, first=0.2)
    await child.start(*python(GOOD))
    try:
        for restarts in (1, 2):
            pid = pid_of(child)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: child.state.startswith("down"))
            assert "SIGKILL" in child.state
            assert not child.absence.starting, "it should not have ended"
            assert connect.made[-1].closed
            with pytest.raises(Unreachable):
                _ = child.served
            await until(lambda: child.state == "ready")
            assert child.restarts == restarts
            assert pid_of(child) != pid
    finally:
        await child.aclose()


async def test_a_child_that_has_ended_is_not_called_ready_while_it_is_cleared_away() -> None:
    seen: list[tuple[str, int | None]] = []

    class Watching(Connected):
        async def aclose(self) -> None:
            seen.append((child.state, child.pid))

    async def connect(address: str) -> Connected:
        return Watching(address)

    child = Supervisor(connect, Backoff(lambda: 0.5, first=0.01), time.monotonic, Manners("child"))
    await child.start(*python(GOOD))
    os.kill(pid_of(child), signal.SIGKILL)
    await until(lambda: child.restarts == 1)
    await child.aclose()
    assert seen[0] == ("ending", None)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (SAYS_WHY, "no such model"),
        (CRASHES, "words"),
        ("raise SystemExit(7)", "status 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import signal, sys; print('x' * 100_000)", "limit"),
    ],
    ids=["says", "words", "status", "signal", "chatter"],
)
async def test_a_child_that_never_gets_ready_fails_the_start_with_its_reason(script: str, reason: str) -> None:
    child = supervised()
    with pytest.raises(Unreachable, match=reason):
        await child.start(*python(script))
    assert child.pid is None


async def test_a_command_that_does_not_exist_fails_the_start() -> None:
    with pytest.raises(Unreachable, match="No such file"):
        await supervised().start(["/nowhere/python"], "key")


async def test_a_child_that_ignores_the_polite_signal_is_killed() -> None:
    child = supervised(manners=Manners("child", end=0.2))
    await child.start(*python(STUBBORN))
    pid = pid_of(child)
    await child.aclose()
    assert not running_process(pid)


async def test_a_condemned_child_is_ended_with_its_own_processes_and_started_again(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    spawn = "import subprocess, sys; one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    child = supervised(first=0.2, manners=Manners("child", end=0.1))
    child.condemn("before there is one")
    await child.start(*python(f"{spawn}; open({str(note)!r}, 'w').write(str(one.pid)); {GOOD}"))
    grandchild = int(note.read_text())
    try:
        child.condemn("it does not answer")
        await until(lambda: "it does not answer" in child.state)
        await until(lambda: not running_process(grandchild))  # nobody waits for its end: it may take a moment
        await until(lambda: child.state == "ready")
    finally:
        await child.aclose()


async def test_what_a_child_prints_may_look_like_an_introduction() -> None:
    child = supervised()
    await child.start(*python(f"print('{{}}'); {GOOD}"))
    assert child.served.address == "here"
    await child.aclose()


@pytest.mark.parametrize("moment", range(12))
async def test_a_start_that_is_cancelled_at_any_moment_leaves_no_child(moment: int, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = supervised()
    script = f"import os; open({str(note)!r}, 'w').write(str(os.getpid())); {GOOD}"
    starting = asyncio.create_task(child.start(*python(script)))
    for _ in range(moment):
        await asyncio.sleep(0.004 if moment > 6 else 0)
    starting.cancel()
    await asyncio.wait([starting])
    if not starting.cancelled():  # it was quicker: the child is its owner's to close
        await child.aclose()
    assert child.pid is None
    written = note.read_text() if note.exists() else ""
    assert not written or not running_process(int(written))


async def test_a_loop_that_ends_and_cancels_everything_leaves_no_child_to_itself() -> None:
    """As at a second Ctrl-C: the task is cancelled, and closed while it still waits for the child's end."""
    child = supervised(manners=Manners("child", end=0.3))
    await child.start(*python(STUBBORN))
    pid, task = pid_of(child), child._task
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)  # it has begun to end the child
    await child.aclose()
    assert not running_process(pid)


async def test_closing_twice_and_before_the_start_is_fine() -> None:
    child = supervised()
    await child.aclose()
    await child.start(*python(GOOD))
    await child.aclose()
    await child.aclose()
    assert child.pid is None

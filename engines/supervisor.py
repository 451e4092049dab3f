"""Keeps one child process alive: starts it, learns where it listens, starts it again when it dies, ends it for good."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from engines.api import Health, Unreachable

_logger = logging.getLogger("snowshed")


@dataclass(slots=True, frozen=True)
class Manners:
    """What kind of child it is: `name` is what people read; the seconds bound how long it may take.

    `load` until it listens: a model of many gigabytes comes from a slow disk. `end` when it is asked to.
    """

    name: str
    load: float = 300.0
    end: float = 2.0


class Served(Protocol):
    """What is reached at a child's address."""

    async def aclose(self) -> None: ...


S = TypeVar("S", bound=Served)


@dataclass
class Backoff:
    """How long to wait before the next start, in seconds: doubling, jittered, forgotten after a calm life."""

    draw: Callable[[], float]
    first: float = 0.5
    most: float = 30.0
    calm: float = 60.0
    failures: int = 0

    def after(self, lived: float) -> float:
        """The pause after a child that lived for so many seconds; `draw` gives [0, 1)."""
        if lived >= self.calm:
            self.failures = 0
        pause = min(self.most, self.first * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return pause * (0.5 + self.draw() / 2)


class _Introduction(msgspec.Struct):
    """The child's line of JSON: one of the two."""

    address: str | None = None
    error: str | None = None


class Supervisor(Generic[S]):
    """Runs a command from `start` to `aclose`, and gives callers what `connect` makes of the address it tells.

    The child is told to end by the end of its standard input, so it never outlives this process, however that ends.
    """

    def __init__(
        self,
        connect: Callable[[str], Awaitable[S]],
        backoff: Backoff,
        clock: Callable[[], float],
        manners: Manners,
    ) -> None:
        self._command: Sequence[str] = ()
        self._opening = ""
        self._connect = connect
        self._backoff = backoff
        self._clock = clock
        self._manners = manners
        self._process: Process | None = None
        self._verdict = ""
        self._task: asyncio.Task[None] | None = None
        self._served: S | None = None
        self._settled: asyncio.Future[None] | None = None
        self.pid: int | None = None
        self.state = "starting"
        self.restarts = 0

    def __repr__(self) -> str:
        pid = f" pid {self.pid}" if self.pid else ""
        return f"<Child{pid} [{self.state} · {self.restarts} restarts]>"

    @property
    def absence(self) -> Health:
        """What a probe finds while there is no living child."""
        starting = not self.restarts and self.state == "starting"
        return Health(ready=False, reason=self.state, starting=starting)

    @property
    def served(self) -> S:
        """The living child. Raises Unreachable, at once, while there is none."""
        if self._served is None:
            raise Unreachable(f"The {self._manners.name} is not running; it is being started again.")
        return self._served

    async def start(self, command: Sequence[str], opening: str) -> None:
        """Returns when the child listens; `opening` is the first line of its standard input.

        Raises Unreachable with its reason if the first one dies before that.
        """
        self._command, self._opening = command, opening
        self._settled = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=self._manners.name)
        try:
            await self._settled
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """End the child and wait until it is gone."""
        if self._task is not None:
            if not self._task.cancelling():  # as the loop's end may have done: once more, and the child is left behind
                self._task.cancel()
            await asyncio.wait([self._task])
        self.state = "stopped"

    def condemn(self, reason: str) -> None:
        """End the child at once, as one that is of no use any more, and start it again."""
        if self._process is not None and self._served is not None:
            self._verdict = reason
            _kill(self._process)

    async def _run(self) -> None:
        while True:
            began = self._clock()
            try:
                reason = await self._live()
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the next start may go well
                reason = str(error) or type(error).__name__
            if self._settled is not None and not self._settled.done():
                self._settled.set_exception(Unreachable(f"The {self._manners.name} did not start: {reason}"))
                return
            pause = self._backoff.after(self._clock() - began)
            self.state = f"down, starting again in {pause:.1f} s: {reason}"
            _logger.warning(
                "child process down",
                extra={"child": self._manners.name, "reason": reason, "restart_in_s": round(pause, 1)},
            )
            await asyncio.sleep(pause)
            self.restarts += 1

    async def _live(self) -> str:
        """One child from its start to its end; says how it ended."""
        self.state = "starting"
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C is for the parent, which ends the child after its streams
        )  # fmt: skip
        try:
            self.pid = process.pid
            self._process, self._verdict = process, ""
            assert process.stdin is not None  # a PIPE
            process.stdin.write(f"{self._opening}\n".encode())
            async with asyncio.timeout(self._manners.load):
                self._served = await self._connect(await _address(process))
            self._be_ready()
            how = await _end_of(process)
            return self._verdict or how
        finally:
            self.pid, self.state = None, "ending"
            self._process = None
            served, self._served = self._served, None
            try:
                if served is not None:
                    await served.aclose()
            finally:
                await _stop(process, self._manners.end)

    def _be_ready(self) -> None:
        self.state = "ready"
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)


async def _address(process: Process) -> str:
    assert process.stdout is not None  # a PIPE
    words = ""
    while line := await process.stdout.readline():
        try:
            said = msgspec.json.decode(line, type=_Introduction)
        except msgspec.DecodeError:
            words = line.decode(errors="replace").strip()
            continue
        if said.address is not None:
            return said.address
        if said.error is not None:
            words = said.error
            break
    await process.wait()
    raise Unreachable(words or _how(process))


async def _end_of(process: Process) -> str:
    """Wait for the child's end. What it prints is dropped: it may hold what callers wrote."""
    assert process.stdout is not None  # a PIPE
    while await process.stdout.read(1 << 16):
        pass
    await process.wait()
    return _how(process)


def _how(process: Process) -> str:
    code = process.returncode or 0
    return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with status {code}"


async def _stop(process: Process, seconds: float) -> None:
    end = asyncio.ensure_future(process.wait())
    try:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        # Not `asyncio.timeout`: in a task that is being cancelled, its time-out is a CancelledError on older Pythons.
        await asyncio.wait([end], timeout=seconds)
    finally:
        _kill(process)
    await end
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  # its pipes, which nothing public closes
    await asyncio.sleep(0)  # that is when they are


def _kill(process: Process) -> None:
    """With the processes that it has begun: they are in a group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

"""Processes under test: started on cores of their own, measured from /proc, stopped by pid."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtests.bench.ports import claim

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
ESTABLISHED, CONNECTING = "01", "02"
"""States of a TCP connection in /proc/net/tcp."""


@contextmanager
def apart() -> Iterator[tuple[int, set[int]]]:
    """The core of what is measured, and the cores of the rest; the same one where there is only one.

    Our own process, and what it starts, keeps to the rest meanwhile.
    """
    ours = os.sched_getaffinity(0)
    *others, core = sorted(ours)
    rest = set(others) or {core}
    os.sched_setaffinity(0, rest)
    try:
        yield core, rest
    finally:
        os.sched_setaffinity(0, ours)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on right now, and that no other caller is given while this process runs.

    They are none of those that Linux by default gives to connections, and to servers that take any: before its own
    server comes, or while that is away, another one would now and then have got such a port.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = random.SystemRandom().randrange(10_000, 32_768)
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                if claim(port):
                    ports.append(port)
    return ports


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], seconds: float, what: str, step: float = 0.005) -> float:
    """Poll until `condition`; returns the seconds it took, raises `TimeoutError` naming `what`."""
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > seconds:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(step)
    return time.perf_counter() - started


class Server:
    """A Python module run as a child process, with all its descendants.

    What it says on standard error is kept for messages; standard output goes to `out`, by default nowhere.
    """

    def __init__(self, name: str, arguments: Sequence[str], cores: set[int], out: int = subprocess.DEVNULL) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        command = [sys.executable, "-m", *arguments]
        self._process = subprocess.Popen(command, stdout=out, stderr=self._errors, start_new_session=True)
        self.pin(cores)

    def __repr__(self) -> str:
        return f"<Server {self.name} pid {self.pid} {'up' if self.alive else 'ended'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ready(self, condition: Callable[[], bool], seconds: float = 20.0) -> float:
        """Seconds until `condition`; raises `RuntimeError` with its complaint if the process ends or takes too long."""
        try:
            return wait_until(lambda: self._check() and condition(), seconds, "readiness")
        except TimeoutError as late:
            raise RuntimeError(f"{self.name}: {late}: {self.complaint()}") from None

    def pin(self, cores: set[int]) -> None:
        """Move the process, of one thread still, to `cores`."""
        self.cores = cores
        os.sched_setaffinity(self.pid, cores)

    def batch(self) -> None:
        """From now on let the process wait for its turn when it wakes, as batch jobs do."""
        os.sched_setscheduler(self.pid, os.SCHED_BATCH, os.sched_param(0))

    def _check(self) -> bool:
        if not self.alive:
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}: {self.complaint()}")
        return True

    def complaint(self) -> str:
        """The end of what it said on standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-2000:]

    def said(self, since: int) -> bytes:
        """What it has said on standard error, from byte `since` on; where it goes on writing stays as it is."""
        file = self._errors.fileno()
        return os.pread(file, os.fstat(file).st_size - since, since)

    def stop(self) -> None:
        """SIGTERM; after 5 s SIGKILL for whatever is left of its process group."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self._errors.close()

    def cpu(self) -> float:
        """User and system seconds of the process tree, children that have ended included."""
        return sum(sum(map(int, fields[11:15])) for fields in map(stat, tree(self.pid)) if fields) * TICK

    def rss(self) -> int:
        """Resident bytes of the process tree."""
        return sum(int(fields[21]) for fields in map(stat, tree(self.pid)) if fields) * PAGE

    def descriptors(self) -> int:
        """Open files and sockets of the first process."""
        return len(list((PROC / str(self.pid) / "fd").iterdir()))

    def sockets(self) -> set[str]:
        """Names of the first process's sockets."""
        names = set()
        for link in (PROC / str(self.pid) / "fd").iterdir():
            try:
                names.add(str(link.readlink()))
            except FileNotFoundError:  # closed since it was listed
                continue
        return {name for name in names if name.startswith("socket:")}

    def sockets_to(self, port: int, state: str = ESTABLISHED) -> set[str]:
        """Names of those in TCP's `state` whose other end is 127.0.0.1:`port`. Takes tens of milliseconds."""
        wanted = f"0100007F:{port:04X} {state} "  # end of the remote address, and the state
        lines = [line for name in ("tcp", "tcp6") for line in (PROC / "net" / name).read_text().splitlines()]
        rows = [line.split() for line in lines if wanted in line]
        return self.sockets() & {f"socket:[{row[9]}]" for row in rows}


def stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty if the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(pid: int) -> list[int]:
    """The process and all its living descendants."""
    parents = {int(path.name): fields[1] for path in PROC.glob("[0-9]*") if (fields := stat(int(path.name)))}
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == str(member)]
    return family


def core_busy(core: int) -> float:
    """Seconds a core has spent on processes or lost to other guests of the host; interrupts are not counted."""
    for line in (PROC / "stat").read_text().splitlines():
        fields = line.split()
        if fields[0] == f"cpu{core}":
            user, nice, system, _, _, _, _, steal = map(int, fields[1:9])
            return (user + nice + system + steal) * TICK
    raise ValueError(f"no core {core}")

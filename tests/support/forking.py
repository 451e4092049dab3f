"""Processes without the start of an interpreter: one process has imported the program, and each other is its fork.

What a process is to the system stays as it is: it has arguments, an environment and standard streams of its own, and
ends as an interpreter ends. What it does not prove is that its imports are complete; those that are started afresh do.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway import compiled
from tests.support.waiting import PATIENCE

_ROOT = Path(__file__).parents[2]
LONGEST = 1 << 20
"""Bytes: what arguments and environment come to, at most."""


class Forked:
    """One of the processes; it is asked and told things as one of `subprocess` is. Must be waited for."""

    def __init__(self, news: socket.socket) -> None:
        news.settimeout(PATIENCE)
        self._news = news
        self.pid = int(news.recv(32))
        self.returncode: int | None = None

    def __repr__(self) -> str:
        return f"<Forked {self.pid}{'' if self.returncode is None else f', ended with {self.returncode}'}>"

    def wait(self, timeout: float = PATIENCE) -> int:
        """`TimeoutError` if it has not ended by then."""
        if self.returncode is None:
            self._news.settimeout(timeout)
            self.returncode = os.waitstatus_to_exitcode(int(self._news.recv(32)))
            self._news.close()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except BlockingIOError:
            return None

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sign)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Forks until it is closed, for whoever comes to its `door`."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self.door = f"{self._folder.name}/door"
        self._life, its = socket.socketpair()
        with its, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.bind(self.door)
            door.listen()
            command = [sys.executable, "-m", "tests.support.forking", str(door.fileno())]
            environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
            self._process = subprocess.Popen(
                command, cwd=_ROOT, env=environment, stdin=its.fileno(), pass_fds=[door.fileno()]
            )

    def __repr__(self) -> str:
        return f"<ForkServer pid {self._process.pid}{'' if self._process.returncode is None else ', closed'}>"

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]) -> Forked:
        """`python -m gateway {arguments}`; `streams` are the descriptors of its standard input, output and error."""
        news = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        news.connect(self.door)
        asked = {"arguments": arguments, "environment": dict(environment), "folder": str(_ROOT)}
        socket.send_fds(news, [json.dumps(asked).encode()], streams)
        return Forked(news)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]) -> int:
        """The status of a command that came to its end by itself; it is killed if it did not, and that raised."""
        started = self.start(arguments, environment, streams)
        try:
            return started.wait()
        finally:
            started.kill()
            started.wait()

    def close(self) -> None:
        """It ends by itself when nobody can ask it any more."""
        self._life.close()
        self._process.wait(PATIENCE)
        self._folder.cleanup()


@functools.cache
def forks() -> ForkServer:
    """Started by who asks for the first process, and closed by the end of the session."""
    return ForkServer()


def _serve(life: socket.socket, door: socket.socket) -> list[str]:
    """Returns in each process that was asked for: its arguments. In this one it returns never."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        ready, _, _ = select.select([life, door], [], [])
        if life in ready:
            os._exit(0)
        news, _ = door.accept()
        asked, streams, _, _ = socket.recv_fds(news, LONGEST, 3)
        if asked and os.fork() == 0:
            door.close()
            life.detach()  # its number is the process's standard input from here on
            return _begin(news, streams, **json.loads(asked))
        news.close()
        for descriptor in streams:
            os.close(descriptor)


def _begin(
    news: socket.socket, streams: list[int], arguments: list[str], environment: dict[str, str], folder: str
) -> list[str]:
    """Forks once more: the parent tells how the child ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        news.send(b"%d" % pid)
        news.send(b"%d" % os.waitpid(pid, 0)[1])
        os._exit(0)
    news.close()
    os.chdir(folder)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        line = 1 if name == "stderr" else -1  # else by whether it is a terminal, as the interpreter decides
        now = open(number, before.mode, line, before.encoding, before.errors, closefd=False)  # noqa: SIM115  # to the end
        setattr(sys, name, now)
    os.environ.clear()
    os.environ.update(environment)
    return arguments


def _import_all() -> None:
    """What is imported while commands run, too."""
    for package in ("gateway", "engines", "router", "security"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for dialect in ("sqlite.aiosqlite", "postgresql.asyncpg"):
        importlib.import_module(f"sqlalchemy.dialects.{dialect}")
    gc.freeze()  # else a collection in a fork would copy what it shares with this process


if __name__ == "__main__":
    if os.environ.get(compiled.SWITCH) == "on":
        compiled.use()
    _import_all()
    sys.argv = ["gateway", *_serve(socket.socket(fileno=0), socket.socket(fileno=int(sys.argv[1])))]
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)

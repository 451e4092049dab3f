"""Commands without the start of an interpreter: one process has imported the program, and each command is a fork of it.

What a command is to the system stays as it is: a process with arguments, an environment and standard streams of its
own, which ends as an interpreter ends. What it does not prove is that its imports are complete; `started` does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
LONGEST = 1 << 20
"""Bytes: what arguments and environment come to, at most."""


class ForkServer:
    """Forks commands of `snowshed` until it is closed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.support.forking"]
        with its:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=its.fileno())

    def __repr__(self) -> str:
        return f"<ForkServer pid {self._process.pid}{'' if self._process.returncode is None else ', closed'}>"

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]) -> int:
        """The status of a command that came to its end, as `subprocess` gives it; `TimeoutError` if it did not.

        `streams` are the descriptors of its standard input, output and error.
        """
        news, its = socket.socketpair()
        with news, its:
            asked = json.dumps({"arguments": arguments, "environment": dict(environment)}).encode()
            socket.send_fds(self._control, [asked], [*streams, its.fileno()])
            its.close()
            news.settimeout(PATIENCE)
            with news.makefile("rb") as lines:
                pid = int(lines.readline())
                try:
                    return os.waitstatus_to_exitcode(int(lines.readline()))
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise

    def close(self) -> None:
        """It ends by itself when nobody can ask it any more."""
        self._control.close()
        self._process.wait(PATIENCE)


def _serve(control: socket.socket) -> list[str]:
    """Returns in each command's process: its arguments. In this one it returns never."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for commands
    while True:
        asked, descriptors, _, _ = socket.recv_fds(control, LONGEST, 4)
        if not asked:
            os._exit(0)
        if os.fork() == 0:
            control.detach()  # its number is the command's standard input from here on
            return _command(json.loads(asked), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _command(asked: dict[str, object], descriptors: list[int]) -> list[str]:
    """Forks once more: the parent tells how the command ended, the child becomes the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, news = descriptors
    if pid := os.fork():
        os.write(news, b"%d\n" % pid)
        os.write(news, b"%d\n" % os.waitpid(pid, 0)[1])
        os._exit(0)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        line = 1 if name == "stderr" else -1  # else by whether it is a terminal, as the interpreter decides
        now = open(number, before.mode, line, before.encoding, before.errors, closefd=False)  # noqa: SIM115  # to the end
        setattr(sys, name, now)
    environment, arguments = asked["environment"], asked["arguments"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    return arguments


def _import_all() -> None:
    """What commands import while they run, too."""
    for package in ("gateway", "engines", "router", "security"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for dialect in ("sqlite.aiosqlite", "postgresql.asyncpg"):
        importlib.import_module(f"sqlalchemy.dialects.{dialect}")
    gc.freeze()  # else a collection in a command would copy what it shares with this process


if __name__ == "__main__":
    _import_all()
    sys.argv = ["gateway", *_serve(socket.socket(fileno=0))]
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)

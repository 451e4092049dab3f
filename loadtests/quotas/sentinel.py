"""A Sentinel: it watches over a master and its replicas, and says which of them is the master now."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from loadtests.bench.processes import free_ports, wait_until
from loadtests.quotas.store import PATIENCE, program

MASTER = "limits"
"""What it calls the master."""
QUORUM = 2
"""Sentinels that must have lost the master before they look for another: one alone never does."""
FAILOVER_MS = 5000
"""In which a fail-over must have come to its end; else another one is tried after twice as long."""


class Sentinel:
    """On a port of 127.0.0.1, up from the beginning on. `master`: a port. `options`: more lines of its configuration.

    `folder` is its own: it writes what it learns to its configuration.
    """

    def __init__(self, folder: Path, master: int, options: Sequence[str] = (), password: str | None = None) -> None:
        (self.port,) = free_ports(1)
        self._password = password
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            *([f"requirepass {password}"] if password else []),
            f"sentinel monitor {MASTER} 127.0.0.1 {master} {QUORUM}",
            f"sentinel failover-timeout {MASTER} {FAILOVER_MS}",
            *options,
        ]
        config = folder / "sentinel.conf"
        config.write_text("\n".join(lines))
        self._process = subprocess.Popen([program(), str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        wait_until(self._answers, PATIENCE, "the Sentinel's start")

    def __repr__(self) -> str:
        return f"<Sentinel on {self.port}, pid {self._process.pid}>"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """It accepts connections, and answers nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        with redis.Redis(port=self.port, password=self._password, decode_responses=True) as client:
            yield client

    def point_to(self, master: int) -> None:
        """From now on it says that this is the master's port."""
        with self.client() as client:
            client.sentinel_remove(MASTER)
            client.sentinel_monitor(MASTER, "127.0.0.1", master, QUORUM)

    def told(self) -> tuple[int, int, int]:
        """The master's port, and how many replicas and other Sentinels this one knows. Raises RedisError."""
        with self.client() as client:
            state: Any = client.sentinel_master(MASTER)
        return state["port"], state["num-slaves"], state["num-other-sentinels"]

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError("the Sentinel has ended")
        with suppress(redis.RedisError):
            return bool(self.told())
        return False


@contextmanager
def running_sentinel(master: int, options: Sequence[str] = (), password: str | None = None) -> Iterator[Sentinel]:
    """Killed after the block."""
    with tempfile.TemporaryDirectory() as folder:
        sentinel = Sentinel(Path(folder), master, options, password)
        try:
            yield sentinel
        finally:
            sentinel.kill()


def sentinel_url(ports: Sequence[int], login: str = "", path: str = f"/{MASTER}") -> str:
    """As gateways take it. `login` ends with @, if there is one."""
    return f"redis+sentinel://{login}{','.join(f'127.0.0.1:{port}' for port in ports)}{path}"

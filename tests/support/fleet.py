"""The simulated upstream in a child process of its own, for tests whose timing must not share a loop with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from loadtests.fleet.calls import Outcome
from loadtests.fleet.settings import Mode
from loadtests.fleet.triton.contracts import ContractName
from tests.support import plain
from tests.support.waiting import PATIENCE, wait_until

_ROOT = Path(__file__).parents[2]


class LoggedCall(msgspec.Struct):
    """A call as the control port tells it; see `loadtests.fleet.calls.Call`."""

    number: int
    path: str
    model: str
    stream: bool
    fault: str
    prompt_tokens: int
    tokens: int
    start: float
    served: float | None
    first: float | None
    left: float | None
    end: float | None
    outcome: Outcome | None
    request_id: str | None
    headers: list[tuple[str, str]]
    body: Any
    body_bytes: int

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class SpawnedReplica:
    """One replica of a spawned fleet, told what to do through the control port."""

    def __init__(self, client: httpx2.Client, number: int, url: str, target: str = "") -> None:
        self._client = client
        self._number = number
        self.url = url
        self.target = target  # where it speaks gRPC, as host:port

    def __repr__(self) -> str:
        return f"<SpawnedReplica {self._number} {self.url}>"

    def set(self, **changes: object) -> None:
        """Change settings, for requests that come from now on."""
        self._ask("POST", "/_control", changes)

    def reset(self) -> None:
        self._ask("POST", "/_reset")

    def listen(self, mode: Mode, *, drop: bool = False) -> None:
        """What happens to new connections; `drop` resets the present ones, too."""
        self._ask("POST", "/_listen", {"mode": mode, "drop": drop})

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self._ask("GET", "/_stats").json()
        return stats

    def calls(self, since: int = 0) -> list[LoggedCall]:
        """The calls after number `since`."""
        return msgspec.json.decode(self._ask("GET", "/_calls", since=since).content, type=list[LoggedCall])

    def wait_for(
        self, predicate: Callable[[Sequence[LoggedCall]], bool], timeout: float = PATIENCE, since: int = 0
    ) -> list[LoggedCall]:
        """The calls as soon as `predicate(calls)` holds; `TimeoutError` after `timeout` seconds."""
        return wait_until(lambda: self.calls(since), predicate, timeout)

    def _ask(self, method: str, path: str, body: object = None, **query: int) -> httpx2.Response:
        params = {"replica": self._number, **query}
        return self._client.request(method, path, params=params, json=body).raise_for_status()


class SpawnedFleet:
    """Replicas that run in one child process."""

    def __init__(self, pid: int, urls: list[str], targets: list[str], client: httpx2.Client) -> None:
        self.pid = pid
        self.urls = urls
        self.targets = targets
        places = zip_longest(urls, targets, fillvalue="")
        self.replicas = [SpawnedReplica(client, number, url, target) for number, (url, target) in enumerate(places)]

    def __repr__(self) -> str:
        return f"<SpawnedFleet pid {self.pid} {self.urls}>"


@contextmanager
def spawn_fleet(
    replicas: int = 1, settings: str = "", port: int = 0, contract: ContractName | None = None
) -> Iterator[SpawnedFleet]:
    """A fleet on free ports (or from `port` on) with settings like `tokens=100,delay_ms=20`, gone after the block.

    With a contract it speaks Triton's gRPC at its `targets`, too.
    """
    command = [sys.executable, "-m", "loadtests.fleet", f"--port={port}", f"--replicas={replicas}", f"--set={settings}"]
    if contract:
        command.append(f"--contract={contract}")
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)})
    try:
        assert child.stdout is not None
        where = msgspec.json.decode(child.stdout.readline())  # empty, and thus an error, if it could not start
        with plain.client(base_url=where["control"], timeout=PATIENCE) as client:
            yield SpawnedFleet(child.pid, where["urls"], where["targets"], client)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()

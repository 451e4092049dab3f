"""Simulated upstream, raw baseline and Snowshed on free ports of 127.0.0.1, what is measured on a core of its own."""

from __future__ import annotations

import http.client
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loadtests.bench.processes import Server, apart, free_ports, listening

# The shipped defaults: only addresses and the one model are given.
CONFIG = """\
server: {{host: 127.0.0.1, port: {public}}}
ops: {{port: {ops}}}
models:
  - name: mock
    engine: openai
    replicas: [{replica}]
"""


@dataclass(frozen=True)
class Ports:
    """All on 127.0.0.1."""

    upstream: int
    control: int  # of the upstream, even while it takes no connections
    raw: int
    public: int
    ops: int


@dataclass(frozen=True)
class Front:
    """A gateway's configuration and its core: the gateway is started as often as wanted."""

    ports: Ports
    config: Path
    core: int  # of what is measured
    rest: set[int]  # cores of everything else

    @contextmanager
    def gateway(self, out: int = subprocess.DEVNULL) -> Iterator[tuple[Server, float]]:
        """Snowshed, and the seconds from its start until it was ready. Its log goes to the descriptor `out`."""
        with Server("gateway", ["gateway", "serve", "--config", str(self.config)], {self.core}, out) as server:
            yield (
                server,
                server.ready(lambda: all(map(listening, (self.ports.public, self.ports.ops))) and self.is_ready()),
            )

    def form(self) -> str:
        """Whether the hot path of the gateway that runs is interpreted or compiled."""
        _, page = ask(self.ports.ops, "GET", "/metrics")
        found = re.search(rb'snowshed_build_info\{.*form="(\w+)"', page)
        return found[1].decode() if found else "unknown"

    def is_ready(self) -> bool:
        try:
            return ask(self.ports.ops, "GET", "/readyz")[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False


@dataclass(frozen=True)
class Stand(Front):
    """What a measurement runs against: the upstream is up, baseline and gateway are started as often as wanted."""

    upstream: Server

    @contextmanager
    def baseline(self) -> Iterator[Server]:
        """The raw proxy."""
        arguments = ["loadtests.bench.raw", str(self.ports.raw), "127.0.0.1", str(self.ports.upstream)]
        with Server("raw baseline", arguments, {self.core}) as server:
            server.ready(lambda: listening(self.ports.raw))
            yield server

    def control(self, path: str = "/_control", **wishes: Any) -> Any:
        """Tell the upstream how to behave, or ask it what it saw; see `loadtests/fleet/control.py`."""
        body = msgspec.json.encode(wishes) if wishes else None
        status, answer = ask(self.ports.control, "POST" if wishes else "GET", path, body)
        if status != http.client.OK:
            raise RuntimeError(f"the simulated upstream refused {path} {wishes}: {answer.decode()}")
        return msgspec.json.decode(answer)


@contextmanager
def stand(**options: Any) -> Iterator[Stand]:
    """A stand whose gateway has `options` in its only replica; everything that was started is stopped at the end."""
    ports = Ports(*free_ports(5))
    with ExitStack() as stack:
        core, rest = stack.enter_context(apart())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="snowshed-bench-")))
        config = folder / "snowshed.yaml"
        replica = msgspec.json.encode({"url": f"http://127.0.0.1:{ports.upstream}/v1", **options}).decode()
        config.write_text(CONFIG.format(public=ports.public, ops=ports.ops, replica=replica))
        fleet = ["loadtests.bench.upstream", str(ports.upstream), str(ports.control)]
        upstream = stack.enter_context(Server("simulated upstream", fleet, rest))
        upstream.ready(lambda: listening(ports.control))
        yield Stand(ports, config, core, rest, upstream)


def ask(port: int, method: str, path: str, body: bytes | None = None, **fields: str) -> tuple[int, bytes]:
    """One request to 127.0.0.1:`port`: status and body of its answer. Raises `OSError` without one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, ({"content-type": "application/json"} if body else {}) | fields)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()

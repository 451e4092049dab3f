"""A gateway on real sockets: in a thread with its own event loop, or as the process that users run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx2
import uvicorn
import yaml
from fastapi.dependencies import models

from gateway.app import create_app
from gateway.config import check
from gateway.reloading import Source
from gateway.server import Server
from gateway.wiring import Gateway, build
from loadtests.bench.processes import free_ports
from router.breaker import Breaker
from router.retries import RetryBudget
from tests.support import plain
from tests.support.forking import Forked, forks
from tests.support.waiting import PATIENCE, wait_until

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
Adapter = Literal["front_door", "asgi"]


def configuration(urls: Sequence[str] = (), **sections: Any) -> dict[str, Any]:
    """A tree with one model `mock` over these upstreams (or a scripted one), on free ports; sections are merged in."""
    model: dict[str, Any] = {"name": "mock", "engine": "scripted"}
    if urls:
        model = {"name": "mock", "engine": "openai", "replicas": [{"url": url} for url in urls]}
    tree: dict[str, Any] = {"server": {"port": 0, "drain_delay": 0}, "ops": {"port": 0}, "models": [model]}
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section} if isinstance(section, Mapping) else section
    return tree


class RunningGateway:
    """A gateway in this process; `objects` are its own, to be looked at but not touched from another thread."""

    def __init__(self, objects: Gateway, server: uvicorn.Server, loop: asyncio.AbstractEventLoop) -> None:
        self.objects = objects
        self.server = server
        self.loop = loop
        self.port: int = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ops_url = f"http://127.0.0.1:{objects.ops.port}"

    def __repr__(self) -> str:
        return f"<RunningGateway {self.url}>"

    def connect(self, timeout: float = PATIENCE) -> socket.socket:
        """A raw connection to the public listener."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def client(self) -> httpx2.Client:
        return plain.client(base_url=self.url, timeout=PATIENCE)

    def wait_until(self, holds: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Poll plain state; `TimeoutError` with the traffic if it never holds."""
        wait_until(lambda: (holds(), self.objects.edge.traffic), lambda seen: seen[0], timeout)

    def wait_idle(self, timeout: float = PATIENCE) -> None:
        """Until no request is live, none counted in flight, no body held, no replica busy: nothing leaked."""
        edge = self.objects.edge
        replicas = [replica for model in self.objects.catalog for replica in model.replicas]
        self.wait_until(
            lambda: (
                not edge.traffic.live
                and edge.accounts.in_flight == 0
                and edge.memory.held == 0
                and not any(replica.in_flight for replica in replicas)
            ),
            timeout,
        )

    def forgive(self) -> None:
        """On the gateway's own loop: its replicas are as good as new, and no retry is spent."""
        for model in self.objects.catalog:
            for version in model.versions.values():
                version.pool.retries = RetryBudget(time.monotonic)
                for replica in version.pool.replicas:
                    replica.breaker = Breaker()
                version.pool.refresh()

    def run(self, call: Callable[[], Any]) -> Any:
        """Call something on the gateway's own loop and give back its result."""

        async def there() -> Any:
            return call()

        return self.wait_for(there())

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What it comes to on the gateway's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)


@contextlib.contextmanager
def running_gateway(
    tree: dict[str, Any],
    adapter: Adapter = "front_door",
    log_fd: int | None = None,
    tls: Path | None = None,
    source: Source | None = None,
) -> Iterator[RunningGateway]:
    """Serve in a thread, on uvloop, until the block is left; everything is then closed and joined.

    `asgi` is stock uvicorn in front of the same application: the pipeline as a plain ASGI response. `tls` is a file
    with a key and its certificate, to serve HTTPS. `source` is where the configuration may be read again.
    """
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a descriptor, not a file's content
        objects = build(check(tree, "test"), ROOT / ".cache", log_fd or nowhere.fileno(), source=source)
        if adapter == "front_door":
            server: uvicorn.Server = Server(objects)
        else:
            config = uvicorn.Config(
                create_app(objects), port=0, http="httptools", loop="uvloop", ws="none", lifespan="on", log_config=None,
                access_log=False, proxy_headers=False, timeout_graceful_shutdown=2,
            )  # fmt: skip
            server = uvicorn.Server(config)
        server.config.ssl_certfile = tls
        loops: list[asyncio.AbstractEventLoop] = []

        async def serve() -> None:
            loops.append(asyncio.get_running_loop())
            await server.serve()

        thread = threading.Thread(target=lambda: _run(server, serve), daemon=True)
        thread.start()
        wait_until(lambda: server.started or not thread.is_alive())
        assert server.started, "the gateway did not start"
        try:
            yield RunningGateway(objects, server, loops[0])
        finally:
            server.force_exit = server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the gateway did not stop"
            _forget_routes()


def _forget_routes() -> None:
    """FastAPI remembers some thousand, and by them the gateways that are over: a collector that walks those for half a
    second stops the one that runs."""
    for member in vars(models).values():
        if hasattr(member, "cache_clear"):
            member.cache_clear()


def _run(server: uvicorn.Server, serve: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(serve())


class SpawnedGateway:
    """The process that users run; `lines` are its request records so far."""

    def __init__(
        self, child: subprocess.Popen[bytes] | Forked, url: str, ops_url: str, log: Path, errors: Path
    ) -> None:
        self.child = child
        self.pid = child.pid
        self.url = url
        self.ops_url = ops_url
        self.log = log
        self.errors = errors

    def __repr__(self) -> str:
        return f"<SpawnedGateway pid {self.pid} {self.url}>"

    def terminate(self) -> None:
        self.child.send_signal(signal.SIGTERM)

    def wait(self, timeout: float) -> int:
        """Exit status."""
        return self.child.wait(timeout)


@contextlib.contextmanager
def spawned_gateway(
    tree: dict[str, Any], folder: Path, ready: bool = True, module: str = "gateway", options: Sequence[str] = ()
) -> Iterator[SpawnedGateway]:
    """`python -m gateway serve {options} --config …` with logs in `folder`; killed by pid after the block.

    A fork of the process that has imported it, unless another `module` is to be run in its place.
    Ports are picked here, because the process is told them by its configuration as a user would.
    """
    port, ops_port = free_ports(2)
    tree = {**tree, "server": {**tree.get("server", {}), "port": port}, "ops": {"port": ops_port}}
    file, log, errors = folder / "gateway.yaml", folder / "records.jsonl", folder / "errors.txt"
    file.write_text(yaml.safe_dump(tree))
    arguments, environment = ["serve", *options, "--config", str(file)], {**os.environ, "PYTHONPATH": str(ROOT)}
    child: subprocess.Popen[bytes] | Forked
    with log.open("wb") as out, errors.open("wb") as err:
        if module == "gateway":
            child = forks().start(arguments, environment, [0, out.fileno(), err.fileno()])
        else:
            command = [sys.executable, "-m", module, *arguments]
            child = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, env=environment)
    spawned = SpawnedGateway(child, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ops_port}", log, errors)
    try:
        if ready:
            _wait_ready(spawned)
        yield spawned
    finally:
        child.kill()
        child.wait()


def _wait_ready(gateway: SpawnedGateway, timeout: float = PATIENCE) -> None:
    def ready() -> bool:
        assert gateway.child.poll() is None, gateway.errors.read_text()
        with contextlib.suppress(httpx2.TransportError):
            return plain.get(f"{gateway.ops_url}/readyz").status_code == 200
        return False

    wait_until(lambda: (ready(), gateway.errors.read_text()), lambda seen: seen[0], timeout)


def metric(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of a metric whose labels include these."""
    total = 0.0
    for found in re.finditer(rf"^{re.escape(name)}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE):
        if all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
            total += float(found[2])
    return total

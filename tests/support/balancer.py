"""Several gateways behind one address: a TCP balancer that hands each connection to the next of them, in turn."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.support import plain
from tests.support.gateway import SpawnedGateway, metric, spawned_gateway
from tests.support.waiting import PATIENCE


class Balancer:
    """Round robin over ports of this machine, connection by connection; one that refuses is passed over.

    `taken`: connections so far by target. The end of either side's bytes is passed on as such; a broken connection
    breaks the other one.
    """

    def __init__(self, targets: Sequence[int]) -> None:
        self.port = 0
        self.taken = dict.fromkeys(targets, 0)
        self._turns = itertools.cycle(targets)
        self._open: set[asyncio.StreamWriter] = set()

    def __repr__(self) -> str:
        return f"<Balancer on {self.port}, taken {self.taken}, {len(self._open) // 2} open>"

    @property
    def open(self) -> int:
        """Connections of clients right now."""
        return len(self._open) // 2

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        try:
            up_reader, up_writer = await self._connect()
            ends.add(up_writer)
            self._open |= ends
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_carry(reader, up_writer))
                ways.create_task(_carry(up_reader, writer))
        except* OSError:
            pass  # no target, or one side is gone: so is the other now
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for port in itertools.islice(self._turns, len(self.taken)):
            with suppress(OSError):
                streams = await asyncio.open_connection("127.0.0.1", port)
                self.taken[port] += 1
                return streams
        raise ConnectionRefusedError


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


@contextmanager
def balancing(*targets: int) -> Iterator[Balancer]:
    """On a thread of its own, until the block is left: then every connection is cut, and the thread joined."""
    balancer = Balancer(targets)
    listening: Future[Callable[[], object]] = Future()

    async def run() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
        balancer.port = server.sockets[0].getsockname()[1]
        listening.set_result(lambda: loop.call_soon_threadsafe(stopped.set))
        await stopped.wait()
        server.close()
        balancer.cut()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    stop = listening.result(PATIENCE)
    try:
        yield balancer
    finally:
        stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), balancer


@dataclass(frozen=True)
class Pair:
    """Two gateway processes that know nothing of each other, behind one address."""

    balancer: Balancer
    gateways: tuple[SpawnedGateway, SpawnedGateway]

    @property
    def url(self) -> str:
        return self.balancer.url

    def client(self) -> httpx2.Client:
        """A connection per request, so that requests take turns, too."""
        return plain.client(base_url=self.url, headers={"connection": "close"}, timeout=PATIENCE)

    def metric(self, name: str, **labels: str) -> list[float]:
        """What each process says of itself on one scrape, in the order of `gateways`."""
        pages = [plain.get(f"{gateway.ops_url}/metrics").text for gateway in self.gateways]
        return [metric(page, name, **labels) for page in pages]


@contextmanager
def paired_gateways(tree: dict[str, Any], folder: Path) -> Iterator[Pair]:
    """Both with the configuration `tree` on ports of their own, ready; killed by pid after the block."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(spawned_gateway(tree, _made(folder / name))) for name in ("one", "two"))
        ports = [urlsplit(gateway.url).port or 0 for gateway in (first, second)]
        yield Pair(stack.enter_context(balancing(*ports)), (first, second))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder

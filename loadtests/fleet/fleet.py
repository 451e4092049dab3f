"""Several simulated model servers on the running loop, and a control port for all of them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from loadtests.fleet.connection import Connection
from loadtests.fleet.listener import Listener
from loadtests.fleet.replica import Replica
from loadtests.fleet.settings import Settings


class Fleet:
    """`async with Fleet(replicas=2) as fleet`: replica K on `port + K`, control on `control_port`; 0: any free one."""

    def __init__(
        self, replicas: int = 1, settings: Settings | None = None, port: int = 0, control_port: int = 0
    ) -> None:
        self._size = replicas
        self._settings = settings or Settings()
        self._port = port
        self._control_port = control_port
        self._control: Listener
        self.replicas: list[Replica] = []

    def __repr__(self) -> str:
        return f"<Fleet {self.replicas!r}>"

    @property
    def urls(self) -> list[str]:
        """Base URLs of the replicas, as OpenAI clients want them."""
        return [replica.url for replica in self.replicas]

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self._control.port}"

    async def __aenter__(self) -> Self:
        self._control = Listener(lambda listener: Connection(listener, None, self.replicas), self._control_port)
        self._control.listen("open")
        for at in range(self._size):
            self.replicas.append(Replica(self.replicas, self._settings, self._port + at if self._port else 0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._control.aclose()
        for replica in self.replicas:
            await replica.aclose()

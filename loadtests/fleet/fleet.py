"""Several simulated model servers on the running loop, and a control port for all of them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from loadtests.fleet.connection import Connection
from loadtests.fleet.listener import Listener
from loadtests.fleet.replica import Replica
from loadtests.fleet.settings import Settings
from loadtests.fleet.triton.contracts import ContractName


class Fleet:
    """`async with Fleet(replicas=2) as fleet`: replica K on `port + K`, control on `control_port`; 0: any free one.

    With a contract, each replica also speaks Triton's gRPC, at any free port or `grpc_port + K`.
    """

    def __init__(
        self,
        replicas: int = 1,
        settings: Settings | None = None,
        port: int = 0,
        control_port: int = 0,
        *,
        contract: ContractName | None = None,
        grpc_port: int = 0,
    ) -> None:
        self._size = replicas
        self._settings = settings or Settings()
        self._port = port
        self._control_port = control_port
        self._contract = contract
        self._grpc_port = grpc_port
        self._control: Listener
        self.replicas: list[Replica] = []

    def __repr__(self) -> str:
        return f"<Fleet {self.replicas!r}>"

    @property
    def urls(self) -> list[str]:
        """Base URLs of the replicas, as OpenAI clients want them."""
        return [replica.url for replica in self.replicas]

    @property
    def targets(self) -> list[str]:
        """Where the replicas speak gRPC, as `host:port`."""
        return [replica.triton.target for replica in self.replicas if replica.triton]

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self._control.port}"

    async def __aenter__(self) -> Self:
        self._control = Listener(lambda listener: Connection(listener, None, self.replicas), self._control_port)
        self._control.listen("open")
        for at in range(self._size):
            replica = Replica(self.replicas, self._settings, self._port + at if self._port else 0)
            self.replicas.append(replica)
            if self._contract:
                await replica.speak_triton(self._contract, self._grpc_port + at if self._grpc_port else 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._control.aclose()
        for replica in self.replicas:
            await replica.aclose()

"""The gateway that users run, as a process in front of these models."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loadtests.bench.processes import Server, free_ports, listening
from loadtests.bench.stand import ask


@dataclass(slots=True, frozen=True)
class Served:
    """Its ports on 127.0.0.1, for callers and for operators."""

    server: Server
    public: int
    ops: int

    async def total(self, name: str) -> float:
        """The sum of a metric's samples."""
        return await asyncio.to_thread(self._total, name)

    def ready(self, replicas: int) -> bool:
        return listening(self.public) and listening(self.ops) and self._total("snowshed_replica_ready") == replicas

    def _total(self, name: str) -> float:
        _, page = ask(self.ops, "GET", "/metrics")
        return sum(float(found) for found in re.findall(rf"^{name}\{{.*\}} (\S+)$", page.decode(), re.MULTILINE))


@asynccontextmanager
async def served(models: Sequence[Mapping[str, Any]], **sections: Any) -> AsyncIterator[Served]:
    """As soon as it has found every replica ready; `models` and `sections` are of its configuration."""
    public, ops = free_ports(2)
    tree = {"server": {"port": public}, "ops": {"port": ops}, "models": models, **sections}
    with TemporaryDirectory(prefix="snowshed-") as folder:
        config = Path(folder) / "snowshed.yaml"
        config.write_text(json.dumps(tree))
        with Server("gateway", ["gateway", "serve", "--config", str(config)], os.sched_getaffinity(0)) as server:
            gateway = Served(server, public, ops)
            replicas = sum(len(model["replicas"]) for model in models)
            await asyncio.to_thread(server.ready, lambda: gateway.ready(replicas))
            yield gateway

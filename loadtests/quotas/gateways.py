"""Several gateways that count in one store, of which any may be killed and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import msgspec

from loadtests.bench.processes import Server, free_ports, listening
from loadtests.bench.stand import Front, Stand
from loadtests.prove.keys import snowshed


class Gateway:
    """One of them, up from the beginning of its block; its port stays the same."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self._server = self._started()

    def __repr__(self) -> str:
        return f"<Gateway on {self.front.ports.public}, {self._server!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def ready(self) -> None:
        ports = self.front.ports
        self._server.ready(lambda: all(map(listening, (ports.public, ports.ops))) and self.front.is_ready())

    def kill(self) -> None:
        """As by the kernel: it tells nobody."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()

    def start(self) -> None:
        self._server = self._started()
        self.ready()

    def _started(self) -> Server:
        return Server("gateway", ["gateway", "serve", "--config", str(self.front.config)], self.front.rest)


@dataclass(frozen=True)
class Tenancy:
    """A configuration with quotas, without ports of its own; keys of each tenant."""

    place: Stand
    config: Path
    keys: Mapping[str, Sequence[str]]

    @contextmanager
    def gateways(self, count: int) -> Iterator[list[Gateway]]:
        """So many, ready."""
        with ExitStack() as stack:
            made = [stack.enter_context(Gateway(self._front(number))) for number in range(count)]
            for gateway in made:
                gateway.ready()
            yield made

    def _front(self, number: int) -> Front:
        ports = replace(self.place.ports, **dict(zip(("public", "ops"), free_ports(2), strict=True)))
        text = self.config.read_text()
        for ours in ("public", "ops"):
            text = text.replace(f"port: {getattr(self.place.ports, ours)}", f"port: {getattr(ports, ours)}")
        config = self.config.with_name(f"gateway-{number}.yaml")
        config.write_text(text)
        everywhere = {self.place.core, *self.place.rest}
        return Front(ports, config, self.place.core, everywhere)


def tenancy(place: Stand, store: str, plans: Sequence[Mapping[str, Any]], keys: int) -> Tenancy:
    """A tenant of the same name on each plan, with so many keys. `store` is a URL."""
    url = place.config.with_name("store")
    url.write_text(store)
    quotas = msgspec.json.encode({"store": {"file": str(url)}, "plans": plans}).decode()
    config = place.config.with_name("quotas.yaml")
    auth = f"auth: {{kind: keys, sqlite: {config.with_suffix('.db')}}}\n"
    config.write_text(f"{place.config.read_text()}{auth}quotas: {quotas}\n")
    made = {}
    for plan in plans:
        name = plan["name"]
        snowshed("tenants", "create", name, "--plan", name, config=config)
        made[name] = [snowshed("keys", "create", name, config=config) for _ in range(keys)]
    return Tenancy(place, config, made)

"""A Triton on free ports of 127.0.0.1, and a gateway's configuration in front of it for each transport."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from loadtests.bench.processes import Server, apart, free_ports, listening
from loadtests.bench.stand import Front, Ports, Stand
from loadtests.bench.triton import replies

Transport = Literal["http2", "grpc"]
TRANSPORTS: tuple[Transport, ...] = ("http2", "grpc")
Contract = Literal["llmapi", "ensemble"]

SERVED: dict[Contract, str] = {"llmapi": "tensorrt_llm", "ensemble": "ensemble"}
_TEMPLATE = """\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
_CONFIG = """\
server: {{host: 127.0.0.1, port: {public}}}
ops: {{port: {ops}}}
timeouts: {timeouts}
models:
  - name: mock
    engine: triton
    replicas: [{replica}]
"""


@contextmanager
def fronts(
    upstream: int, model: str, *, control: int = 0, timeouts: Mapping[str, float] | None = None
) -> Iterator[dict[Transport, Front]]:
    """Gateways for the `model` of the Triton at 127.0.0.1:`upstream`; see `apart` for what becomes of us."""
    ports = iter(free_ports(2 * len(TRANSPORTS)))
    with ExitStack() as stack:
        core, rest = stack.enter_context(apart())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="snowshed-bench-")))
        template = folder / "chatml.jinja"
        template.write_text(_TEMPLATE)
        places: dict[Transport, Front] = {}
        for transport in TRANSPORTS:
            place = Ports(upstream, control, raw=0, public=next(ports), ops=next(ports))
            replica = {"url": f"127.0.0.1:{upstream}", "model": model, "transport": transport}
            config = folder / f"{transport}.yaml"
            config.write_text(
                _CONFIG.format(
                    public=place.public,
                    ops=place.ops,
                    timeouts=msgspec.json.encode(timeouts or {}).decode(),
                    replica=msgspec.json.encode(replica | {"chat_template": str(template)}).decode(),
                )
            )
            places[transport] = Front(place, config, core, rest)
        yield places


@contextmanager
def replaying() -> Iterator[dict[Transport, Stand]]:
    """In front of a server that replays at little cost; it has no control verbs."""
    (port,) = free_ports(1)
    with fronts(port, replies.MODEL) as places, _server(["loadtests.bench.triton.upstream", str(port)]) as server:
        yield {transport: _with(front, server, port) for transport, front in places.items()}


@contextmanager
def simulated(contract: Contract, timeouts: Mapping[str, float] | None = None) -> Iterator[dict[Transport, Stand]]:
    """In front of a server of `loadtests.fleet`, which is gRPC's own."""
    port, control = free_ports(2)
    fronted = fronts(port, SERVED[contract], control=control, timeouts=timeouts)
    with fronted as places, fleet(contract, port, control) as server:
        yield {transport: _with(front, server, port) for transport, front in places.items()}


def fleet(contract: Contract, port: int, control: int) -> Server:
    """A simulated Triton that will be at 127.0.0.1:`port`, with its control verbs at `control`."""
    words = ["loadtests.fleet", "--contract", contract, "--grpc-port", str(port), "--control-port", str(control)]
    return _server(words)


def _server(words: list[str]) -> Server:
    return Server("Triton", words, os.sched_getaffinity(0))  # where we are: see `apart`


def _with(front: Front, server: Server, port: int) -> Stand:
    server.ready(lambda: listening(port))
    return Stand(front.ports, front.config, front.core, front.rest, server)

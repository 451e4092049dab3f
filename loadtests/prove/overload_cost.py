"""What it costs to refuse a request whose turn could not come in time, before its body is read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus

import msgspec

from loadtests.bench import bodies
from loadtests.bench.processes import wait_until
from loadtests.bench.runner import Bench, Effort
from loadtests.bench.stand import Stand, ask, stand
from loadtests.prove.evidence import Bar, Verdict

ADMISSION = """\
    limits: {requests: 1}
    start_within: {standard: 1h}
admission: {queue: 1}
"""
"""One is served, one waits; all others are refused."""
HOLDING = "@@tokens=1000000,delay_ms=100@@"


def prove() -> Verdict:
    """A refusal at the gate costs at most 1.5 times what a bare proxy takes to pass a request on."""
    with stand() as place:
        config = place.config.with_name("admission.yaml")
        config.write_text(place.config.read_text() + ADMISSION)
        full = replace(place, config=config)
        with full.baseline() as raw, full.gateway() as (gateway, _), shut(full):
            bench = Bench(full, Effort())
            plan = bench.whole()
            shed = bench.refused(plan, plan.body.encode(), HTTPStatus.SERVICE_UNAVAILABLE)
            bench.against(raw, plan, {"shed": (gateway, shed)})
    ratio = bench.ratio("shed", "raw unary")
    costs = {name: [round(sample.cpu_us, 1) for sample in samples] for name, samples in bench.samples.items()}
    return Verdict([Bar("CPU per refusal at the gate, x raw unary", round(ratio, 2), 1.5)], {"cpu_us": costs})


@contextmanager
def shut(place: Stand) -> Iterator[None]:
    """While the only place is taken, and somebody waits for it; neither reads what comes."""
    asked = {
        "model": "mock",
        "stream": True,
        "max_tokens": 1_000_000,
        "messages": [{"role": "user", "content": HOLDING}],
    }
    body = msgspec.json.encode(asked)
    with ExitStack() as stack:
        for series in (
            "snowshed_replica_in_flight{",
            'snowshed_queue_depth{model="mock",version="mock@1",class="standard"',
        ):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", place.ports.public)))
            client.sendall(bodies.http(place.ports.public, body))
            wait_until(partial(_is_one, place.ports.ops, series), 30, series)
        yield


def _is_one(port: int, series: str) -> bool:
    """The sum of a metric's samples whose lines begin so."""
    _, page = ask(port, "GET", "/metrics")
    return sum(float(line.rpartition(b" ")[2]) for line in page.splitlines() if line.startswith(series.encode())) == 1

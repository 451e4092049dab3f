"""Whether everything that was held has been let go of: gauges, sockets, calls at the upstream."""

from __future__ import annotations

import re

from loadtests.bench.processes import wait_until
from loadtests.bench.stand import Front, Stand, ask

PATIENCE = 10.0
"""Seconds that letting go may take in the end; metrics are folded four times a second."""


def in_flight(place: Front) -> float:
    """The gateway's own gauge of requests under way."""
    _, text = ask(place.ports.ops, "GET", "/metrics")
    found = re.search(rb"^snowshed_in_flight (\S+)$", text, re.MULTILINE)
    if found is None:
        raise LookupError("the gateway has no gauge snowshed_in_flight")
    return float(found[1])


def settle(place: Stand) -> tuple[float, int]:
    """Requests in flight at the gateway and calls running at the upstream: both 0, or what is left after PATIENCE."""

    def left() -> tuple[float, int]:
        return in_flight(place), place.control("/_stats")["running"]

    try:
        wait_until(lambda: left() == (0, 0), PATIENCE, "silence", step=0.1)
    except TimeoutError:
        return left()
    return 0, 0

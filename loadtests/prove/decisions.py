"""What it costs to decide where a request goes, and to have it wait for its place."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from loadtests.prove.evidence import Bar, Verdict

CHOICE, REQUEST = 10.0, 20.0
"""Microseconds, whatever the policy."""


ADMISSION = 10.0
"""Microseconds of a request for which there is room."""
GROWTH = 3.0
"""Times as much with 10,000 tenants as with one: a scan would be thousands."""
QUEUED_MB = 30.0


def prove() -> Verdict:
    """Choosing one of 16 replicas takes 10 microseconds, routing a request 20, a place 10; 10,000 wait in 30 MB."""
    costs, admission = _told("loadtests.virtual.decisions"), _told("loadtests.virtual.queueing")
    bars = [Bar(f"{policy}: CPU per choice out of 16, us", of["16"]["choice"], CHOICE) for policy, of in costs.items()]
    bars += [Bar(f"{policy}: CPU per request, us", of["16"]["request"], REQUEST) for policy, of in costs.items()]
    one, *_, most = admission["queued"].values()
    bars += [
        Bar("CPU of a place where there is room, us", admission["at_once"], ADMISSION),
        Bar("into a queue of 10,000 tenants, x one tenant's", round(most["in_us"] / one["in_us"], 2), GROWTH),
        Bar("out of it, x one tenant's", round(most["out_us"] / one["out_us"], 2), GROWTH),
        *(Bar(f"10,000 waiting of {n} tenants, MB", of["mb"], QUEUED_MB) for n, of in admission["queued"].items()),
    ]
    return Verdict(bars, {"cpu_us": costs, "admission": admission})


def _told(module: str) -> Any:
    command = [sys.executable, "-m", module]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

"""What it costs to decide where a request goes."""

from __future__ import annotations

import json
import subprocess
import sys

from loadtests.prove.evidence import Bar, Verdict

CHOICE, REQUEST = 10.0, 20.0
"""Microseconds, whatever the policy."""


def prove() -> Verdict:
    """Choosing one of 16 replicas takes at most 10 microseconds, routing a request 20, by every policy."""
    command = [sys.executable, "-m", "loadtests.virtual.decisions"]
    costs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    bars = [Bar(f"{policy}: CPU per choice out of 16, us", of["16"]["choice"], CHOICE) for policy, of in costs.items()]
    bars += [Bar(f"{policy}: CPU per request, us", of["16"]["request"], REQUEST) for policy, of in costs.items()]
    return Verdict(bars, {"cpu_us": costs})

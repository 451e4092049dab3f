"""What it costs to ask for keys."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import msgspec

from loadtests.bench.processes import free_ports
from loadtests.bench.runner import Bench, Effort
from loadtests.bench.stand import Stand, stand
from loadtests.prove.evidence import Bar, Verdict

EFFORT = Effort(repetitions=9)


def keyed(place: Stand) -> tuple[Stand, str]:
    """The same stand, but that its gateway asks for keys, and a key."""
    ports = replace(place.ports, **dict(zip(("public", "ops"), free_ports(2), strict=True)))
    text = place.config.read_text()
    for ours in ("public", "ops"):
        text = text.replace(f"port: {getattr(place.ports, ours)}", f"port: {getattr(ports, ours)}")
    config = place.config.with_name("keys.yaml")
    config.write_text(f"{text}auth: {{kind: keys, sqlite: {config.with_suffix('.db')}}}\n")
    snowshed("tenants", "create", "acme", config=config)
    return replace(place, ports=ports, config=config), snowshed("keys", "create", "acme", config=config)


def snowshed(*command: str, config: Path) -> str:
    """What a command prints."""
    called = [sys.executable, "-m", "gateway", *command, "--config", str(config)]
    return subprocess.run(called, check=True, capture_output=True, text=True).stdout.strip()


def prove() -> Verdict:
    """A gateway that asks for keys costs what one does that lets everybody in, once a key is known."""
    with stand() as place:
        asking, key = keyed(place)
        bench = Bench(place, EFFORT)
        with place.baseline() as raw, place.gateway() as (opened, _), asking.gateway() as (gateway, _):
            plan = bench.whole()
            with_key = msgspec.structs.replace(plan, port=asking.ports.public, extra=f"authorization: Bearer {key}\r\n")
            bench.against(raw, plan, {"without": (opened, plan), "with": (gateway, with_key)})
    costs = {name: [sample.cpu_us for sample in samples] for name, samples in bench.samples.items()}
    added = median(mine - other for mine, other in zip(costs["with"], costs["without"], strict=True))
    bars = [
        Bar("CPU per unary request with a key, x raw", bench.ratio("with", "raw unary"), 3.0),
        Bar("CPU that a key adds to it, us", added, 3.0),
    ]
    return Verdict(bars, {"cpu_us": costs})

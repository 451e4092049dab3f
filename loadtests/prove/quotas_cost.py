"""What limits cost: a process of its own, a gateway with and without a shared store, and that store."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import msgspec

from loadtests.bench.processes import free_ports
from loadtests.bench.runner import Bench, Effort
from loadtests.bench.stand import Stand, stand
from loadtests.prove.evidence import Bar, Verdict
from loadtests.quotas.store import Store, running_store

EFFORT = Effort(repetitions=7, unary_seconds=2.0)
PLENTY = 10**12
BUCKETS: dict[str, Any] = {
    "name": "default",
    "key": {"requests_per_minute": PLENTY},
    "tenant": {"tokens_per_minute": PLENTY, "tokens_per_day": PLENTY},
    "models": [{"model": "mock", "output_tokens_per_minute": PLENTY}],
}
"""Limits that are never reached, of as many kinds as a plan is likely to have; of these some is taken in advance."""
PLAN = {**BUCKETS, "tenant": {**BUCKETS["tenant"], "concurrent_requests": 10**6}}
"""With this, the store is asked for every request."""
LOCAL_US, SCRIPT_US, BUCKET_BYTES = 10.0, 25.0, 200
LOCAL, SHARED = 3.0, 5.0
"""CPU of the gateway per request, x raw."""


def prove() -> Verdict:
    """Limits cost 10 us in one process and 3 x raw in all, 5 x raw with a shared store, and that 25 us for a call."""
    told = subprocess.run([sys.executable, "-m", "loadtests.virtual.limiting"], check=True, capture_output=True)
    with ExitStack() as stack:
        place = stack.enter_context(stand())
        store, other = stack.enter_context(running_store()), stack.enter_context(running_store())
        bench = Bench(place, EFFORT)
        stands = {
            "without": place,
            "local": limited(place, "local", PLAN),
            "shared": limited(place, "shared", PLAN, store),
            "in advance": limited(place, "in-advance", BUCKETS, other),
        }
        raw = stack.enter_context(place.baseline())
        plan = bench.whole()
        plans = {}
        for name, each in stands.items():
            gateway, _ = stack.enter_context(each.gateway())
            plans[name] = gateway, msgspec.structs.replace(plan, port=each.ports.public)
        bench.against(raw, plan, plans)
        seen = weighed(store)
    local = json.loads(told.stdout)["local_us"]
    asked = sum(sample.result.done for sample in bench.samples["shared"])
    bars = [
        Bar("CPU of a request's limits in one process, us", local, LOCAL_US),
        Bar("CPU of a gateway with limits of its own, x raw", bench.ratio("local", "raw unary"), LOCAL),
        Bar("CPU of a gateway with shared limits, x raw", bench.ratio("shared", "raw unary"), SHARED),
        Bar("CPU of the store for a script call, us", seen["us"], SCRIPT_US),
        Bar("bytes of a bucket in the store, at most", max(seen["bytes"]), BUCKET_BYTES),
    ]
    figures = {
        "CPU of a gateway that takes in advance, x raw": bench.ratio("in advance", "raw unary"),
        "calls of the script per request": seen["calls"] / max(1, asked),
        "store": seen,
        "cpu_us": {name: [sample.cpu_us for sample in samples] for name, samples in bench.samples.items()},
    }
    return Verdict(bars, figures)


def limited(place: Stand, name: str, plan: dict[str, Any], *stores: Store) -> Stand:
    """The same stand with limits, on other ports."""
    ports = replace(place.ports, **dict(zip(("public", "ops"), free_ports(2), strict=True)))
    text = place.config.read_text()
    for ours in ("public", "ops"):
        text = text.replace(f"port: {getattr(place.ports, ours)}", f"port: {getattr(ports, ours)}")
    quotas: dict[str, Any] = {"plans": [plan]}
    for store in stores:
        url = place.config.with_name(f"{name}.url")
        url.write_text(store.url)
        quotas["store"] = {"file": str(url)}
    config = place.config.with_name(f"{name}.yaml")
    config.write_text(f"{text}quotas: {msgspec.json.encode(quotas).decode()}\n")
    return replace(place, ports=ports, config=config)


def weighed(store: Store) -> dict[str, Any]:
    """The script's calls, microseconds of each, and bytes of each bucket."""
    with store.client() as client:
        calls = client.info("commandstats")["cmdstat_evalsha"]
        sizes = [client.memory_usage(name) for name in client.scan_iter("snowshed:*_per_*", _type="string")]
    return {"calls": calls["calls"], "us": calls["usec_per_call"], "bytes": sizes}

"""What callers notice of a shadow version that is well, dead, slow, failing or silent: nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from loadtests.bench import bodies
from loadtests.bench.generator import Plan
from loadtests.bench.processes import Server, free_ports, listening, wait_until
from loadtests.bench.report import paired
from loadtests.bench.runner import DISTURBANCE, Sample, WrongAnswerError, load, text
from loadtests.bench.stand import Stand, ask, stand
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.quiet import PATIENCE, in_flight

PLACES = 4
TOKENS, TOKEN_MS, FIRST_MS = 20, 2, 50
CONNECTIONS = 16
SECONDS = 3.0
REPETITIONS, TRIES = 7, 3
TROUBLES: Mapping[str, Mapping[str, Any]] = {
    "well": {},
    "dead": {},
    "failing": {"fault": "status", "status": 500},
    "breaking": {"fault": "reset_after", "after": 3},
    "slow": {"ttft_ms": 2000},
    "silent": {"fault": "accept_silent"},
}
CONFIG = """\
server: {{host: 127.0.0.1, port: {public}}}
ops: {{port: {ops}}}
models:
  - {{name: mock, engine: openai, replicas: [{{url: "http://127.0.0.1:{primary}/v1"}}]}}
  - {{name: mock, version: "2", weight: 0, engine: openai, replicas: [{{url: "http://127.0.0.1:{shadow}/v1"}}]}}
routing:
  - {{model: mock, shadow: {{version: "2", share: 1, concurrency: {places}}}}}
"""


@contextmanager
def shadowed(place: Stand) -> Iterator[Stand]:
    """A second stand over the same upstream, whose gateway copies each request; its own upstream gets the copies."""
    upstream, control, public, ops = free_ports(4)
    config = place.config.with_name("shadow.yaml")
    primary = place.ports.upstream
    config.write_text(CONFIG.format(public=public, ops=ops, primary=primary, shadow=upstream, places=PLACES))
    ports = replace(place.ports, upstream=upstream, control=control, public=public, ops=ops)
    with Server("shadow upstream", ["loadtests.bench.upstream", str(upstream), str(control)], place.rest) as server:
        server.ready(lambda: listening(control))
        yield replace(place, ports=ports, config=config, upstream=server)


def begin(copying: Stand, trouble: str) -> None:
    """What the shadow does from now on; copies that are still under way break off."""
    copying.control("/_listen", mode="refused", drop=True)
    usual: dict[str, Any] = {"tokens": TOKENS, "ttft_ms": FIRST_MS, "delay_ms": TOKEN_MS, "fault": ""}
    copying.control(**{**usual, **TROUBLES[trouble]})
    if trouble != "dead":
        copying.control("/_listen", mode="open")


@dataclass
class Times:
    """p99s in milliseconds, of first tokens and of whole streams, a pair for each repetition: without and with."""

    first: list[tuple[float, float]] = field(default_factory=list)
    whole: list[tuple[float, float]] = field(default_factory=list)

    def bars(self, trouble: str) -> list[Bar]:
        return [
            Bar(f"p99 of {what} beside a shadow that is {trouble}, x without one", paired(*_sides(pairs)), 1.05)
            for what, pairs in (("first tokens", self.first), ("whole streams", self.whole))
        ]


def _sides(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [with_one for _, with_one in pairs], [without for without, _ in pairs]


@dataclass
class Comparison:
    """Streams through a gateway without and one with a shadow, in turn."""

    place: Stand
    copying: Stand
    plain: Server
    copier: Server
    times: dict[str, Times] = field(default_factory=dict)
    answered: int = 0  # streams through the one with
    disturbed: int = 0  # pairs that were dropped, as others had too much of the core

    def repeat(self, trouble: str, plan: Plan) -> None:
        """Add an undisturbed pair, or the last of so many tries."""
        without, with_one = self._pair(trouble, plan)
        for _ in range(TRIES - 1):
            if max(without.others, with_one.others) <= DISTURBANCE:
                break
            self.disturbed += 1
            without, with_one = self._pair(trouble, plan)
        times = self.times.setdefault(trouble, Times())
        times.first.append((without.result.ttft_ms.p99, with_one.result.ttft_ms.p99))
        times.whole.append((without.result.latency_ms.p99, with_one.result.latency_ms.p99))

    def _pair(self, trouble: str, plan: Plan) -> tuple[Sample, Sample]:
        begin(self.copying, trouble)
        without = load(self.place, self.plain, plan)
        through = msgspec.structs.replace(plan, port=self.copying.ports.public)
        with_one = load(self.copying, self.copier, through)
        for result in (without.result, with_one.result):
            if result.errors:
                raise WrongAnswerError(f"{trouble}: {result.errors} in {result.done} answers")
        self.answered += with_one.result.done
        return without, with_one


def total(place: Stand, series: str) -> float:
    _, shown = ask(place.ports.ops, "GET", "/metrics")
    found = re.findall(rf"^{series} (\S+)$".encode(), shown, re.MULTILINE)
    return sum(map(float, found))


def prove() -> Verdict:
    """P36: whatever becomes of a shadow, callers' p99 stays within 5 %, its copies are bounded, and nobody pays."""
    with stand() as place, shadowed(place) as copying, place.gateway() as (plain, _), copying.gateway() as (copier, _):
        place.control(tokens=TOKENS, ttft_ms=FIRST_MS, delay_ms=TOKEN_MS)
        body = bodies.chat(stream=True).decode()
        plan = Plan(place.ports.public, body, connections=CONNECTIONS, seconds=SECONDS, stream=True, expect=text(place))
        comparison = Comparison(place, copying, plain, copier)
        for _ in range(REPETITIONS):
            for trouble in TROUBLES:
                comparison.repeat(trouble, plan)
        wait_until(lambda: in_flight(copying) == 0, PATIENCE, "silence", step=0.1)
        seen = copying.control("/_stats")
        billed = total(copying, r'gen_ai_client_token_usage_sum\{[^}]*gen_ai_token_type="output"[^}]*\}')
        outcomes = {
            outcome: total(copying, rf'snowshed_shadow_total\{{[^}}]*outcome="{outcome}"[^}}]*\}}')
            for outcome in ("answered", "failed", "dropped", "cancelled")
        }
    bars = [bar for trouble, times in comparison.times.items() for bar in times.bars(trouble)]
    bars += [
        Bar("copies at a time", seen["peak_running"], PLACES),
        Bar(
            "tokens on callers' accounts, x those that they got", billed / (comparison.answered * TOKENS), 1, exact=True
        ),
    ]
    p99 = {trouble: msgspec.to_builtins(times) for trouble, times in comparison.times.items()}
    return Verdict(
        bars, {"p99_ms": p99, "copies": outcomes, "streams": comparison.answered, "disturbed": comparison.disturbed}
    )

"""The measurement: baseline and Snowshed in turn, CPU from /proc, medians of undisturbed repetitions."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

import msgspec

from loadtests.bench import bodies
from loadtests.bench.generator import GRACE, Plan, Result
from loadtests.bench.processes import Server, core_busy
from loadtests.bench.report import Ratios, Report, Side, origin, paired
from loadtests.bench.stand import Stand, ask, stand

CONNECTIONS = 64
STREAMS = 256
TOKENS = 100
TOKEN_MS = 20
STREAM_SECONDS = TOKENS * TOKEN_MS / 1e3
DISTURBANCE = 0.3
"""Share of the measured core that others may take before a repetition is dropped."""


@dataclass(frozen=True)
class Effort:
    """How long and how often to measure.

    `starts` is how often Snowshed is started for its start-up time; of `tries` of a repetition the last counts even
    if it was disturbed.
    """

    repetitions: int = 5
    unary_seconds: float = 3.0
    starts: int = 5
    tries: int = 3


QUICK = Effort(repetitions=2, unary_seconds=1.0, starts=1, tries=2)


class WrongAnswerError(Exception):
    """An answer was not what it has to be: there are no figures for wrong answers."""


@dataclass(frozen=True)
class Sample:
    """One repetition: what the generator saw, the server's CPU seconds meanwhile, its highest RSS in bytes."""

    result: Result
    cpu: float
    peak_rss: int
    others: float  # share of the core that other processes took

    @property
    def cpu_us(self) -> float:
        """Per token of a stream, per request otherwise."""
        return self.cpu / (self.result.tokens or self.result.done) * 1e6


@dataclass
class Bench:
    """Repetitions against one stand; counts those that were dropped, and those that count although disturbed."""

    stand: Stand
    effort: Effort
    dropped: int = 0
    disturbed: int = 0
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def repeat(self, name: str, server: Server, plan: Plan) -> None:
        """Add an undisturbed sample under `name`, or the last of so many tries."""
        sample = load(self.stand, server, plan)
        for _ in range(self.effort.tries - 1):
            if sample.others <= DISTURBANCE:
                break
            self.dropped += 1
            sample = load(self.stand, server, plan)
        self.disturbed += sample.others > DISTURBANCE
        if sample.result.errors:
            raise WrongAnswerError(f"{name}: {sample.result.errors} in {sample.result.done} answers")
        print(f"  {name}: {sample.cpu_us:.1f} us", flush=True)
        self.samples.setdefault(name, []).append(sample)

    def streams(self, raw: Server, gateway: Server) -> None:
        """256 streams directly, through the baseline and through Snowshed, in turn."""
        ports = self.stand.ports
        self.stand.control(tokens=TOKENS, ttft_ms=TOKEN_MS, delay_ms=TOKEN_MS)
        plan = Plan(
            port=ports.upstream,
            body=bodies.chat(stream=True).decode(),
            connections=STREAMS,
            stream=True,
            seconds=STREAM_SECONDS + 0.5,
            spread=STREAM_SECONDS,
            expect=text(self.stand),
        )
        # Snowshed always asks the upstream for usage; the baseline has to carry as many events, so its client asks.
        asking = bodies.chat(stream=True, usage=True).decode()
        for _ in range(self.effort.repetitions):
            self.repeat("direct stream", self.stand.upstream, plan)
            self.repeat("raw stream", raw, msgspec.structs.replace(plan, port=ports.raw, body=asking, usage=True))
            self.repeat("stream", gateway, msgspec.structs.replace(plan, port=ports.public))

    def unary(self, raw: Server, gateway: Server) -> None:
        """64 connections through the baseline and through Snowshed, and requests refused at its door, in turn."""
        plan = self.whole()
        late = bodies.chat("nope")
        refusals = {
            "refusal": self.refused(plan, plan.body.encode(), 400, **{"x-request-timeout-ms": "0"}),
            "late refusal": self.refused(plan, late, 404),
        }
        self.against(raw, plan, {name: (gateway, each) for name, each in {"unary": plan, **refusals}.items()})

    def whole(self) -> Plan:
        """64 connections through Snowshed that are answered in one piece, as the upstream does from now on."""
        self.stand.control(tokens=32, ttft_ms=0, delay_ms=0)
        body, port, whole = bodies.chat().decode(), self.stand.ports.public, tail(self.stand)
        return Plan(port=port, body=body, connections=CONNECTIONS, seconds=self.effort.unary_seconds, expect=whole)

    def against(self, raw: Server, plan: Plan, others: Mapping[str, tuple[Server, Plan]]) -> None:
        """`plan` through the baseline, as "raw unary", and others under their names, in turn."""
        # The upstream is slower than the baseline and would starve it from a core of its own: a proxy that waits is
        # woken for each single request and seems dearer than under load. Sharing a core, and neither interrupting the
        # other, they hand each other whole batches. Snowshed is slower than the upstream and needs no such care.
        upstream = self.stand.upstream
        raw.batch()
        upstream.batch()
        for _ in range(self.effort.repetitions):
            upstream.pin({self.stand.core})
            self.repeat("raw unary", raw, msgspec.structs.replace(plan, port=self.stand.ports.raw))
            upstream.pin(self.stand.rest)
            for name, (server, through) in others.items():
                self.repeat(name, server, through)

    def refused(self, plan: Plan, body: bytes, status: int, **fields: str) -> Plan:
        """The plan of a request that must be refused with `status`, always in the same words."""
        got, words = ask(plan.port, "POST", bodies.PATH, body, **fields)
        if got != status:
            raise WrongAnswerError(f"{got} instead of a refusal with {status}: {words.decode()}")
        extra = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return msgspec.structs.replace(plan, body=body.decode(), extra=extra, status=status, expect=words.decode())

    def ratio(self, name: str, base: str) -> float:
        """Of the CPU that one answer, or one token of a stream, took."""
        return paired(*([sample.cpu_us for sample in self.samples[side]] for side in (name, base)))

    def side(self, prefix: str = "") -> Side:
        """The medians of one proxy, whose samples' names begin with `prefix`."""
        unary, streams = self.samples[prefix + "unary"], self.samples[prefix + "stream"]
        pairs = zip(streams, self.samples["direct stream"], strict=True)
        ttft = [(through.result.ttft_ms, direct.result.ttft_ms) for through, direct in pairs]
        return Side(
            unary_cpu_us=median(sample.cpu_us for sample in unary),
            unary_per_s=median(sample.result.done / sample.result.elapsed for sample in unary),
            unary_p50_ms=median(sample.result.latency_ms.p50 for sample in unary),
            unary_p99_ms=median(sample.result.latency_ms.p99 for sample in unary),
            token_cpu_us=median(sample.cpu_us for sample in streams),
            added_ttft_p50_ms=median(through.p50 - direct.p50 for through, direct in ttft),
            added_ttft_p99_ms=median(through.p99 - direct.p99 for through, direct in ttft),
            gap_p99_ms=median(sample.result.gap_ms.p99 for sample in streams),
        )


def run(effort: Effort) -> Report:
    """Everything, from start-up to refusals; raises `WrongAnswerError` as soon as an answer is wrong."""
    with stand() as place:
        bench = Bench(place, effort)
        ready = []
        for _ in range(effort.starts - 1):
            with place.gateway() as (_, seconds):
                ready.append(seconds)
        with place.baseline() as raw, place.gateway() as (gateway, seconds):
            ready.append(seconds)
            time.sleep(1)  # what a start leaves to do later belongs to the idle figure
            idle, form = gateway.rss(), place.form()
            bench.streams(raw, gateway)
            bench.unary(raw, gateway)
        refusals = bench.samples["refusal"]
        return Report(
            origin=origin(),
            repetitions=effort.repetitions,
            dropped=bench.dropped,
            disturbed=bench.disturbed,
            raw=bench.side("raw "),
            snowshed=bench.side(),
            ratios=Ratios(
                unary=bench.ratio("unary", "raw unary"),
                token=bench.ratio("stream", "raw stream"),
                refusal=bench.ratio("refusal", "raw unary"),
                late_refusal=bench.ratio("late refusal", "raw unary"),
            ),
            refusal_cpu_us=median(sample.cpu_us for sample in refusals),
            late_refusal_cpu_us=median(sample.cpu_us for sample in bench.samples["late refusal"]),
            refusal_p50_ms=median(sample.result.latency_ms.p50 for sample in refusals),
            ready_s=median(ready),
            rss_idle_mb=idle / 1e6,
            rss_per_stream_kb=(bench.samples["stream"][0].peak_rss - idle) / STREAMS / 1e3,
            form=form,
        )


def load(place: Stand, server: Server, plan: Plan) -> Sample:
    """Let the generator carry out `plan` and watch `server` meanwhile."""
    ours = [server, place.upstream] if place.upstream.cores == {place.core} else [server]
    peak = server.rss()
    started, busy, cpu = time.perf_counter(), core_busy(place.core), [one.cpu() for one in ours]
    arguments = ["loadtests.bench.generator", msgspec.json.encode(plan).decode()]
    with tempfile.TemporaryFile() as out, Server("generator", arguments, place.rest, out.fileno()) as generator:
        give_up = started + plan.seconds + GRACE + 10
        while generator.alive and time.perf_counter() < give_up:
            time.sleep(0.2)
            peak = max(peak, server.rss())
        spent = [one.cpu() - before for one, before in zip(ours, cpu, strict=True)]
        others = (core_busy(place.core) - busy - sum(spent)) / (time.perf_counter() - started)
        out.seek(0)
        output = out.read()
        if not output:
            raise RuntimeError(f"the load generator failed: {generator.complaint()}")
    return Sample(msgspec.json.decode(output, type=Result), spent[0], peak, others)


def text(place: Stand) -> str:
    """The upstream's whole text under its present settings, escaped as in its JSON."""
    _, answer = ask(place.ports.upstream, "POST", "/v1/chat/completions", bodies.chat())
    content = msgspec.json.decode(answer)["choices"][0]["message"]["content"]
    return msgspec.json.encode(content).decode()[1:-1]


def tail(place: Stand) -> str:
    """The upstream's unary answer but for its id, the only part that differs from call to call."""
    _, answer = ask(place.ports.upstream, "POST", "/v1/chat/completions", bodies.chat())
    return answer[answer.index(b',"object"') :].decode()

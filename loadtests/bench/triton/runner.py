"""The measurement: a bare reader over grpc.aio and the whole gateway in turn, each alone on its core; medians."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack

import msgspec

from loadtests.bench import bodies
from loadtests.bench.generator import Plan
from loadtests.bench.processes import Server, wait_until
from loadtests.bench.report import origin
from loadtests.bench.runner import Effort, WrongAnswerError, load
from loadtests.bench.stand import Stand
from loadtests.bench.triton import replies
from loadtests.bench.triton.reader import Read, Reading
from loadtests.bench.triton.report import Report
from loadtests.bench.triton.stand import TRANSPORTS, replaying

STREAMS = 64
TOKENS = 100
OPENERS = 8


class Load(msgspec.Struct, frozen=True):
    """One way of speaking: `tokens` per stream, of `streams` at a time. Without a pause it is about opening streams."""

    name: str
    every_ms: int
    tokens: int
    aligned: int
    streams: int

    @property
    def mark(self) -> str:
        return f"@@every_ms={self.every_ms},tokens={self.tokens},aligned={self.aligned}@@"

    @property
    def spread(self) -> float:
        """Seconds over which the streams begin."""
        return self.every_ms * self.tokens / 1e3

    def cost(self, cpu: float, done: int) -> float:
        """Microseconds per token; per stream where each has but one."""
        return cpu / (done * self.tokens) * 1e6


LOADS = (
    Load("staggered", 20, TOKENS, 0, STREAMS),
    Load("aligned", 20, TOKENS, 1, STREAMS),
    Load("opening", 0, 1, 0, OPENERS),
)


def through(place: Stand, gateway: Server, wanted: Load, seconds: float) -> float:
    """The gateway's cost; see `Load.cost`."""
    plan = Plan(
        port=place.ports.public,
        body=bodies.chat(stream=True, remark=wanted.mark).decode(),
        connections=wanted.streams,
        stream=True,
        seconds=seconds,
        spread=wanted.spread,
        expect=replies.text(wanted.tokens),
    )
    sample = load(place, gateway, plan)
    if sample.result.errors:
        raise WrongAnswerError(f"{wanted.name}: {sample.result.errors} in {sample.result.done} answers")
    return wanted.cost(sample.cpu, sample.result.done)


def bare(place: Stand, wanted: Load, seconds: float) -> float:
    """The baseline's cost, alone on the same core."""
    prompt = bodies.chat(remark=wanted.mark).decode()
    reading = Reading(place.ports.upstream, prompt, wanted.tokens, wanted.streams, seconds, wanted.spread)
    arguments = ["loadtests.bench.triton.reader", msgspec.json.encode(reading).decode()]
    with tempfile.TemporaryFile() as out, Server("bare reader", arguments, {place.core}, out.fileno()) as reader:
        wait_until(lambda: not reader.alive, seconds + 30, "the bare reader's end", step=0.1)
        out.seek(0)
        output = out.read()
        if not output:
            raise RuntimeError(f"the bare reader failed: {reader.complaint()}")
    read = msgspec.json.decode(output, type=Read)
    return wanted.cost(read.cpu, read.done)


def run(effort: Effort) -> Report:
    """Everything; raises WrongAnswerError as soon as an answer is wrong."""
    costs: dict[str, dict[str, list[float]]] = {wanted.name: {} for wanted in LOADS}
    with replaying() as places, ExitStack() as stack:
        gateways = {name: stack.enter_context(place.gateway())[0] for name, place in places.items()}
        for wanted in LOADS:
            seconds = wanted.spread + effort.unary_seconds / 2
            for _ in range(effort.repetitions):
                found: dict[str, float] = {"bare": bare(places["http2"], wanted, seconds)}
                for transport in TRANSPORTS:
                    found[transport] = through(places[transport], gateways[transport], wanted, seconds)
                for side, cost in found.items():
                    costs[wanted.name].setdefault(side, []).append(cost)
                    print(f"  {wanted.name}, {side}: {cost:.1f} us", flush=True)
    return Report(origin(), effort.repetitions, costs)

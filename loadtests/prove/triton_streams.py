"""Many streams at once to one Triton, and one among them whose client does not read."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from statistics import median
from typing import Any

import msgspec

from loadtests.bench import bodies
from loadtests.bench.generator import Plan
from loadtests.bench.processes import Server, wait_until
from loadtests.bench.runner import Sample, WrongAnswerError, load, text
from loadtests.bench.stand import Stand, stand
from loadtests.bench.triton import replies
from loadtests.bench.triton.stand import replaying, simulated
from loadtests.fleet.answers import words
from loadtests.prove.evidence import Bar, Verdict

STREAMS, TOKENS, TOKEN_MS = 1000, 30, 200
MOST_KB = {"http2": 20.0, "grpc": 60.0}

NEIGHBOURS, NEIGHBOUR_TOKENS = 16, 100
RUNS = 4
SLOW_TOKENS = 30_000
"""Three times what the kernel takes before the gateway notices. An ensemble says all of them even if nobody is left."""
UNREAD = 10
"""Streams that nobody reads, where it is about memory: of one the allocator's steps would hide what it takes."""
STILL = 1.0
"""Seconds without a token after which nothing on the way takes any more."""
LEAST_NOISE_MS = 1.0


def crowd(place: Stand, gateway: Server, body: bytes, expect: str) -> tuple[Sample, float]:
    """A thousand streams, all under way at once; and the gateway's growth in kB for each of them."""
    life = TOKENS * TOKEN_MS / 1e3
    few = Plan(place.ports.public, body.decode(), connections=20, stream=True, seconds=0.5, spread=0.5, expect=expect)
    checked(load(place, gateway, few))  # what the first streams load and keep is no stream's
    before = gateway.rss()
    crowded = msgspec.structs.replace(few, connections=STREAMS, seconds=life / 2, spread=life / 2)
    sample = checked(load(place, gateway, crowded))
    return sample, (sample.peak_rss - before) / STREAMS / 1e3


def checked(sample: Sample) -> Sample:
    if sample.result.errors:
        raise WrongAnswerError(f"{sample.result.errors} in {sample.result.done} answers")
    return sample


def over_http() -> float:
    """The same growth where the server speaks OpenAI's HTTP."""
    with stand() as place, place.gateway() as (gateway, _):
        place.control(tokens=TOKENS, ttft_ms=TOKEN_MS, delay_ms=TOKEN_MS)
        return crowd(place, gateway, bodies.chat(stream=True), text(place))[1]


@contextlib.contextmanager
def unread(place: Stand, count: int = 1) -> Iterator[None]:
    """Streams whose client takes nothing; from where everything on their way is full. Afterwards none runs any more."""
    body = msgspec.json.decode(bodies.chat(stream=True, remark=f"@@tokens={SLOW_TOKENS},delay_ms=1@@"))
    request = bodies.http(place.ports.public, msgspec.json.encode(body | {"max_tokens": SLOW_TOKENS}))
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", place.ports.public))
            client.sendall(request)
        wait_until(lambda: running(place) >= count, 10, "the unread streams' beginning", step=0.1)
        wait_until(Still(place).now, 60, "that nothing on the way takes any more", step=STILL)
        yield
        if running(place) < count:
            raise WrongAnswerError("an unread stream ended while others were measured")
    wait_until(lambda: not running(place), 120, "the end of what nobody listens to", step=0.1)


class Still:
    """Tells by the server's count of tokens whether a token has been said since it was last asked."""

    def __init__(self, place: Stand) -> None:
        self.place = place
        self.tokens = 0

    def __repr__(self) -> str:
        return f"<Still {self.tokens} tokens>"

    def now(self) -> bool:
        before, self.tokens = self.tokens, self.place.control("/_stats")["tokens"]
        return before == self.tokens > 0


def running(place: Stand) -> int:
    """Calls at the server."""
    count: int = place.control("/_stats")["running"]
    return count


def beside_a_slow_one(place: Stand, gateway: Server) -> dict[str, Any]:
    """What an unread stream does to the pauses between its neighbours' tokens, and to the gateway's memory."""
    place.control(tokens=NEIGHBOUR_TOKENS, ttft_ms=20, delay_ms=20)
    plan = Plan(
        place.ports.public,
        bodies.chat(stream=True).decode(),
        connections=NEIGHBOURS,
        stream=True,
        seconds=2.0,
        spread=2.0,
        expect="".join(words(0, NEIGHBOUR_TOKENS)),
    )

    def pauses(times: int) -> list[float]:
        return [checked(load(place, gateway, plan)).result.gap_ms.p99 for _ in range(times)]

    alone = pauses(RUNS)
    with unread(place):
        beside = pauses(RUNS)
    alone += pauses(RUNS)
    before = gateway.rss()
    with unread(place, UNREAD):
        growth = (gateway.rss() - before) / UNREAD
    return {"growth_kb": growth / 1e3, "gap_p99_ms_alone": alone, "gap_p99_ms_beside": beside}


def slowness(found: dict[str, Any]) -> tuple[float, float]:
    """By how many ms the neighbours' p99 is worse, and by how many it varies without the slow one."""
    alone, beside = found["gap_p99_ms_alone"], found["gap_p99_ms_beside"]
    usual = sorted(alone)[1:-1]  # one pause of the machine is no measure of what a run may differ by
    return median(beside) - median(alone), max(LEAST_NOISE_MS, usual[-1] - usual[0])


def prove() -> Verdict:
    """A thousand streams at once through one replica take little memory, and a client that does not read takes none."""
    bars: list[Bar] = []
    figures: dict[str, Any] = {"kb_per_stream_over_http": over_http()}
    body = bodies.chat(stream=True, remark=f"@@every_ms={TOKEN_MS},tokens={TOKENS},aligned=0@@")
    with replaying() as places:
        for transport, place in places.items():
            with place.gateway() as (gateway, _):
                sample, growth = crowd(place, gateway, body, replies.text(TOKENS))
            bars.append(Bar(f"{transport}: streams that completed", sample.result.done, STREAMS, exact=True))
            bars.append(Bar(f"{transport}: RSS growth per stream, kB", growth, MOST_KB[transport]))
            figures[f"{transport}, a thousand streams"] = sample.result
    with simulated("ensemble", {"stall": 300}) as places:
        for transport, place in places.items():
            with place.gateway() as (gateway, _):
                found = beside_a_slow_one(place, gateway)
            worse, noise = slowness(found)
            bars.append(Bar(f"{transport}: RSS growth for an unread stream, kB", found["growth_kb"], 256))
            bars.append(Bar(f"{transport}: p99 between neighbours' tokens, ms more than without it", worse, noise))
            figures[f"{transport}, beside an unread stream"] = found
    return Verdict(bars, msgspec.to_builtins(figures))

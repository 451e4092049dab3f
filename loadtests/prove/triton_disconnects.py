"""The client's leaving reaches a Triton's model, whenever it happens, and what it has cost is known."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from loadtests.bench.processes import wait_until
from loadtests.bench.stand import Stand
from loadtests.bench.triton.stand import fronts, simulated
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.quiet import PATIENCE
from loadtests.prove.triton_visits import LIFE_MS, TOKEN_MS, Known, Outcome, left
from loadtests.triton import Entry, TritonServer

LEAVINGS, LEAVINGS_REAL = 1000, 200
RESET_MS = 20.0
POLL_MS = 20.0
"""How often the model in the real Triton looks whether it was cancelled."""
SEEN_MS = POLL_MS + 100.0
ON_THE_WIRE = 1
"""Tokens that may be between the server and us when a call ends, besides those of the time until it was seen."""


class Seen(msgspec.Struct, frozen=True):
    """How a call ended at the server: as cancelled, `at` the seconds of the machine's clock, after so many tokens.

    One that goes on for ever ends, uncancelled, at infinity.
    """

    cancelled: bool
    at: float
    tokens: int


SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}
Kind = Literal["stream", "document"]


@dataclass(frozen=True)
class Account:
    """What became of all who left: milliseconds until the server saw it, and tokens that the gateway did not count."""

    unsaid: int  # whose call was not made yet, or had ended already
    seen_ms: list[float]
    missed: dict[Kind, list[int]]
    lost: list[str]  # of whom the gateway's log does not say that they left, or whose call went on to its end

    def bars(self, who: str, name: str, limit: float) -> list[Bar]:
        """With the `limit` of one quantile of `seen_ms`, named as in `figures`."""
        return [
            Bar(f"{who}: leaving seen by the server, {name} ms", self.quantile(name), limit),
            *(
                Bar(f"{who}: most tokens of a {kind} not counted, besides those of that time", max(tokens), ON_THE_WIRE)
                for kind, tokens in self.missed.items()
            ),
            Bar(f"{who}: calls that went on", len(self.lost), 0, exact=True),
        ]

    def quantile(self, name: str) -> float:
        ordered = sorted(self.seen_ms)
        return ordered[int(SHARES[name] * (len(ordered) - 1))]

    def figures(self) -> dict[str, Any]:
        return {
            "cancelled": len(self.seen_ms),
            "left before the call or after its end": self.unsaid,
            "seen_ms": {name: self.quantile(name) for name in SHARES},
            "tokens_missed": {
                kind: {str(count): times for count, times in sorted(Counter(tokens).items())}
                for kind, tokens in self.missed.items()
            },
            "lost": self.lost,
        }


def balance(left_at: dict[str, float], log: list[Known], seen: Callable[[str], Seen | None]) -> Account:
    """`seen` says how the call of a request, by the gateway's id, ended at the server; None if it never came there."""
    account = Account(0, [], {"stream": [], "document": []}, [])
    unsaid = 0
    known = {line.client_request_id: line for line in log}
    for label, gone_at in left_at.items():
        line = known[label]
        end = seen(line.id)
        late = (end.at - gone_at) * 1e3 if end is not None else 0.0
        if end is None or (not end.cancelled and late <= RESET_MS):
            unsaid += 1
        elif not end.cancelled or not line.client_gone:
            account.lost.append(f"{label}: {line}, {end}, {late:.1f} ms")
        else:
            account.seen_ms.append(late)
            meanwhile = 1 + max(0, int(late / TOKEN_MS))
            missed = abs(end.tokens - line.completion_tokens) - meanwhile
            account.missed["stream" if line.stream else "document"].append(max(0, missed))
    return dataclasses.replace(account, unsaid=unsaid)


def at_rest(place: Stand) -> dict[str, Any]:
    """The simulated server's counts, once nothing runs there any more or PATIENCE is over."""
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not place.control("/_stats")["open_streams"], PATIENCE, "silence", step=0.1)
    counts: dict[str, Any] = place.control("/_stats")
    return counts


def from_fleet(place: Stand) -> Callable[[str], Seen | None]:
    """What the simulated server saw."""
    calls = {call["body"]["id"].rpartition("-")[0]: call for call in place.control("/_calls")}

    def seen(request: str) -> Seen | None:
        call = calls.get(request)
        if call is None:
            return None
        return Seen(call["outcome"] == "cancelled", call["left"] or call["end"] or math.inf, call["tokens"])

    return seen


def from_journal(server: TritonServer) -> Callable[[str], Seen | None]:
    """What the model in the real server saw, once it has ended all that it began or PATIENCE is over."""

    def entries() -> dict[str, Entry]:
        """The last of each request."""
        return {entry.id.rpartition("-")[0]: entry for entry in server.journal()}

    with contextlib.suppress(TimeoutError):
        wait_until(lambda: all(entry.outcome for entry in entries().values()), PATIENCE, "silence", step=0.1)
    ends = entries()

    def seen(request: str) -> Seen | None:
        entry = ends.get(request)
        if entry is None:
            return None
        return Seen(entry.outcome == "cancelled", entry.at if entry.outcome else math.inf, entry.tokens)

    return seen


def judged(who: str, outcome: Outcome, seen: Callable[[str], Seen | None], bound: tuple[str, float]) -> Verdict:
    """`bound`: a quantile of the milliseconds until the server saw a leaving, and what it may be."""
    account = balance(outcome.leavings.left_at, outcome.log, seen)
    bars = [
        *account.bars(who, *bound),
        Bar(f"{who}: requests in flight afterwards", outcome.flying, 0, exact=True),
    ]
    return Verdict(bars, {who: account.figures() | {"answered before they left": outcome.leavings.answered}})


def at_simulated() -> Iterator[Verdict]:
    """One for each transport."""
    with simulated("llmapi") as places:
        for transport, place in places.items():
            place.control(service_ms=LIFE_MS)
            with left(place, LEAVINGS) as outcome:
                counts = at_rest(place)
            verdict = judged(transport, outcome, from_fleet(place), ("p99", RESET_MS))
            open_, running = counts["open_streams"], counts["running"]
            verdict.bars.append(Bar(f"{transport}: streams open at the server afterwards", open_, 0, exact=True))
            verdict.bars.append(Bar(f"{transport}: requests running there afterwards", running, 0, exact=True))
            yield verdict


def at_real() -> Iterator[Verdict]:
    """One for each transport."""
    with TritonServer(["llmapi"]) as server, fronts(server.ports.grpc, "llmapi") as places:
        for transport, place in places.items():
            with left(place, LEAVINGS_REAL) as outcome:
                verdict = judged(f"{transport}, real Triton", outcome, from_journal(server), ("p95", SEEN_MS))
            yield verdict


def prove() -> Verdict:
    """A client's leaving resets its call within 20 ms, the model sees it, nothing leaks and every token is counted."""
    verdicts = [*at_simulated(), *at_real()]
    figures: dict[str, Any] = {}
    for verdict in verdicts:
        figures |= verdict.figures
    return Verdict([bar for verdict in verdicts for bar in verdict.bars], figures)

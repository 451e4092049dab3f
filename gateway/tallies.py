"""What finished requests add up to, per kind, model and version: plain integers and bucket counts, cheap to add to.

prometheus_client's own counters cost 0.4 µs and its histograms 0.8 µs per call, each behind a lock of its own: 10 µs
per record, and a scrape could see half of one. Here whole batches are counted at once, behind one lock, number by
number, so that most of the work is done by C: half a microsecond per record.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from gateway.accounts import Outcome, Record

# Seconds. The first token's bounds begin with OpenTelemetry's advice for gen_ai.server.time_to_first_token and go on
# to the 120 s that a first-token timer may take; fine below 1 s, where people notice.
FIRST_TOKEN: Final = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
# gen_ai.server.time_per_output_token, and finer at the low end: a small model on a big card takes 2 ms per token.
TOKEN_GAP: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
# The largest gap of a stream: a stall. Up to the inter-token timer's 60 s.
LARGEST_GAP: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# gen_ai.server.request.duration (factors of two) with both ends added: a refusal takes 1 ms, a long answer minutes.
DURATION: Final = (0.001, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 600.0)
# Our own share is 100 µs on an idle machine and must stay under 1 ms: three of the bounds lie in between.
OVERHEAD: Final = (0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1)
# From "did not wait" (under 1 ms) to the longest wait that a deadline of a minute leaves.
QUEUED: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# gen_ai.client.token.usage: powers of four, from a word to any context.
TOKENS: Final = tuple(4**power for power in range(14))

NONE: Final = "none"
OTHER: Final = "other"
MODELS: Final = 500
"""Most keys with series of their own; later ones share model and version `other`."""
VALUES: Final = 200
"""Most codes of one key; later ones share `other`."""

Key = tuple[str, str, str]
"""What a tally is for: kind, public name, and `model@version` that answered or was asked last."""

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def code_label(code: str) -> str:
    """An error code as it may be counted and logged: a model server's own code could be a sentence with content."""
    return code if _CODE.fullmatch(code) else OTHER


class Histogram:
    """Counts per bucket, not cumulative, the last one above all bounds; and the sum of what was observed."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram {sum(self.counts)} observed, sum {self.sum:.6g}>"

    def copy(self) -> Histogram:
        made = Histogram.__new__(Histogram)
        made.bounds, made.counts, made.sum = self.bounds, self.counts[:], self.sum
        return made

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_all(self, values: list[float]) -> None:
        """The same of many, for a third of the cost; sorts them."""
        self.sum += sum(values)
        values.sort()
        below, total = 0, len(values)
        for number, bound in enumerate(self.bounds):
            if below == total:
                return
            up_to = bisect_right(values, bound, below)
            self.counts[number] += up_to - below
            below = up_to
        self.counts[-1] += total - below


class Ended:
    """Requests of one outcome: how many by code, and how long they took."""

    __slots__ = ("codes", "durations")

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.durations = Histogram(DURATION)

    def __repr__(self) -> str:
        return f"<Ended {self.codes}>"

    def copy(self) -> Ended:
        made = Ended.__new__(Ended)
        made.codes, made.durations = self.codes.copy(), self.durations.copy()
        return made

    def add(self, records: Sequence[Record]) -> None:
        """Count requests that ended so."""
        for code, times in Counter(map(_code_of, records)).items():
            label = code_label(code) if code else NONE
            if label not in self.codes and len(self.codes) >= VALUES:
                label = OTHER
            self.codes[label] = self.codes.get(label, 0) + times
        self.durations.observe_all([record.ended_at - record.headers_at for record in records])


class Tally:
    """Everything counted for one kind of request to one version of a model."""

    __slots__ = (
        "capped", "cut", "ended", "failovers", "fallbacks", "first_token", "input", "interrupted", "largest_gap",
        "left_early", "left_streaming", "output", "overhead", "queued", "token_gap",
    )  # fmt: skip

    def __init__(self) -> None:
        self.ended: dict[Outcome, Ended] = {}
        self.fallbacks: dict[str, int] = {}
        """Requests that came here because of another model's trouble, by it."""
        self.failovers = self.left_early = self.left_streaming = self.interrupted = 0
        self.capped = self.cut = 0
        """Answered requests with a cap by their caller's limits: those that kept to it, and streams ended here."""
        self.input = Histogram(TOKENS)
        self.output = Histogram(TOKENS)
        self.first_token = Histogram(FIRST_TOKEN)
        self.token_gap = Histogram(TOKEN_GAP)
        self.largest_gap = Histogram(LARGEST_GAP)
        self.overhead = Histogram(OVERHEAD)
        self.queued = Histogram(QUEUED)

    def __repr__(self) -> str:
        requests = sum(sum(ended.codes.values()) for ended in self.ended.values())
        return f"<Tally {requests} requests, {self.output.sum:.0f} tokens out>"

    def copy(self) -> Tally:
        """The numbers as they are now, to be read while this one goes on."""
        made = Tally.__new__(Tally)
        for name in Tally.__slots__:
            value = getattr(self, name)
            setattr(made, name, value.copy() if isinstance(value, Histogram) else value)
        made.ended = {outcome: ended.copy() for outcome, ended in self.ended.items()}
        made.fallbacks = self.fallbacks.copy()
        return made

    def add(self, records: Sequence[Record]) -> None:
        """Count finished requests."""
        for outcome in set(map(_outcome_of, records)):
            ended = self.ended.get(outcome) or self.ended.setdefault(outcome, Ended())
            ended.add([record for record in records if record.outcome == outcome])
        self.input.observe_all([tokens for record in records if (tokens := record.prompt_tokens)])
        self.output.observe_all([tokens for record in records if (tokens := record.completion_tokens)])
        for record in [record for record in records if record.attempts > 1]:
            self.failovers += min(len(record.failed), record.attempts - 1)  # a hedge is another attempt, but after none
        for trouble in [trouble for record in records if (trouble := record.fallback)]:
            self.fallbacks[trouble] = self.fallbacks.get(trouble, 0) + 1
        answered = [record for record in records if record.first_at]
        self._add_answers(answered)
        gone = [record for record in records if record.client_gone]
        streaming = sum(bool(record.first_at) for record in gone)
        self.left_streaming += streaming
        self.left_early += len(gone) - streaming

    def _add_answers(self, records: Sequence[Record]) -> None:
        self.overhead.observe_all([record.overhead for record in records])
        self.queued.observe_all([record.queued for record in records])
        self.interrupted += len([record for record in records if record.outcome == "failed"])
        capped = [record for record in records if record.output_cap or record.cut]
        cut = sum(record.cut for record in capped)
        self.capped += len(capped) - cut
        self.cut += cut
        # An answer in one piece has no first token and no gaps, its time is its duration.
        streams = [record for record in records if record.stream]
        self.first_token.observe_all([record.first_at - record.headers_at for record in streams])
        long = [record for record in streams if record.chunks > 1]
        self.token_gap.observe_all([(record.last_at - record.first_at) / _gaps(record) for record in long])
        self.largest_gap.observe_all([record.gap_max for record in long])


def _gaps(record: Record) -> int:
    # A chunk is not a token, and two chunks may arrive as one: the server's count is the better divisor.
    return max((record.completion_tokens if record.usage_exact else record.chunks) - 1, 1)


class Tallies:
    """A tally per key. Bounded: whatever is in the records, there are at most `MODELS` and one per kind."""

    def __init__(self) -> None:
        self._tallies: dict[Key, Tally] = {}

    def __repr__(self) -> str:
        return f"<Tallies of {len(self._tallies)} kinds, models and versions>"

    def add(self, records: Sequence[Record]) -> None:
        alike: defaultdict[Key, list[Record]] = defaultdict(list)
        for key, record in zip(map(_key_of, records), records, strict=True):
            alike[key].append(record)
        for (kind, model, version), some in alike.items():
            key = (kind, model or NONE, version or NONE)
            tally = self._tallies.get(key) or self._new(key)
            tally.add(some)

    def copy(self) -> dict[Key, Tally]:
        """A snapshot."""
        return {key: tally.copy() for key, tally in self._tallies.items()}

    def _new(self, key: Key) -> Tally:
        if len(self._tallies) >= MODELS:
            key = (key[0], OTHER, OTHER)
        return self._tallies.setdefault(key, Tally())


_key_of = attrgetter("kind", "model", "version")
_outcome_of = attrgetter("outcome")
_code_of = attrgetter("code")

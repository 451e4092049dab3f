"""What was learned of costs as plain numbers, to outlast a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from router.outputs import EDGES, MOST, NONE, Histogram, Outputs, bucket
from router.rates import BEHIND, Average, FirstContent, Rates

Amount = Annotated[float, Meta(ge=0, le=1e15)]
"""A sum of tokens, seconds or their products."""
Positive = Annotated[float, Meta(gt=0, le=MOST)]
DEAREST = 100.0
"""Seconds per token: what costs more is not learned from, so that it would never be learned away."""
Size = Annotated[int, Meta(ge=0, le=64)]
"""An octave: 4 is 8 to 15."""
DECIMALS = 3
LEAST = 10.0**-DECIMALS
"""Of an answer is left of one that has not come for longer, and it is forgotten."""


class KnownAverage(Struct, forbid_unknown_fields=True):
    """See `router.rates.Average`."""

    value: Positive
    count: Annotated[float, Meta(ge=1, le=1e6)]

    def average(self, boot: float) -> Average:
        return Average(boot, self.value, self.count)


class KnownRates(Struct, forbid_unknown_fields=True):
    """See `router.rates.Rates` and, for the sums, `FirstContent`."""

    first: tuple[Amount, Amount, Amount, Amount, Amount]
    decode: KnownAverage

    def __post_init__(self) -> None:
        weights, tokens, *_ = self.first
        if any(self.first) and not BEHIND <= weights <= tokens:
            raise ValueError("`first` is no sums of prompts that have at least a token each")
        if max(self.decode.value, FirstContent(0.0, self.first).price) > DEAREST:
            raise ValueError(f"`first` or `decode` comes to more than {DEAREST:g} seconds for a token")

    def rates(self, prefill: float, decode: float, now: float) -> Rates:
        return Rates(FirstContent(prefill, self.first), self.decode.average(decode), now)


class KnownAnswers(Struct, forbid_unknown_fields=True):
    """Answers to one tenant, None: to all, for prompts of one size: by their length in tokens, how many."""

    tenant: str | None
    size: Size
    counts: list[tuple[Annotated[int, Meta(ge=0, le=MOST)], Amount]]


class Known(Struct, forbid_unknown_fields=True):
    """All of it, as `Costs.state` tells it; bytes by their size."""

    tokens_per_byte: dict[Size, KnownAverage]
    rates: KnownRates
    replicas: dict[str, KnownRates]
    outputs: list[KnownAnswers]

    def averages(self, boot: float) -> dict[int, Average]:
        return {size: known.average(boot) for size, known in self.tokens_per_byte.items()}

    def histograms(self, now: float) -> Outputs:
        outputs = Outputs()
        for known in self.outputs:
            counts = list(NONE)
            for tokens, count in known.counts:
                counts[bucket(tokens)] += count
            outputs.put(known.tenant, known.size, counts, now)
        return outputs


def known(
    tokens_per_byte: Mapping[int, Average], rates: Rates, replicas: Mapping[str, Rates], outputs: Outputs, now: float
) -> Known:
    return Known(
        tokens_per_byte={size: _average(each) for size, each in tokens_per_byte.items()},
        rates=_rates(rates),
        replicas={name: _rates(each) for name, each in replicas.items()},
        outputs=[
            KnownAnswers(tenant, size, counts)
            for tenant, size, histogram in outputs
            if (counts := _counts(histogram, now))
        ],
    )


def _counts(histogram: Histogram, now: float) -> list[tuple[int, float]]:
    counts = zip(EDGES, histogram.counts(now), strict=True)
    return [(tokens, round(count, DECIMALS)) for tokens, count in counts if count >= LEAST]


def _average(average: Average) -> KnownAverage:
    return KnownAverage(average.value, average.count)


def _rates(rates: Rates) -> KnownRates:
    return KnownRates(rates.first.sums, _average(rates.decoding))

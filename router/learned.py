"""What was learned of costs as plain numbers, to outlast a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, to_builtins

from router.outputs import EDGES, MOST, NONE, Outputs, bucket
from router.rates import BEHIND, Average, FirstContent, Rates

Amount = Annotated[float, Meta(ge=0, le=1e15)]
"""A sum of tokens, seconds or their products."""
Positive = Annotated[float, Meta(gt=0, le=1e6)]
Size = Annotated[int, Meta(ge=0, le=64)]
"""An octave: 4 is 8 to 15."""


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

    def rates(self, prefill: float, decode: float, now: float) -> Rates:
        return Rates(FirstContent(prefill, self.first), self.decode.average(decode), now)


class KnownAnswers(Struct, forbid_unknown_fields=True):
    """Answers to one tenant, None: to all, for prompts of one size: by their length in tokens, how many."""

    tenant: str | None
    size: Size
    counts: list[tuple[Annotated[int, Meta(ge=0, le=MOST)], Amount]]


class Known(Struct, forbid_unknown_fields=True):
    """All of it; bytes by their size."""

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


def read(state: object) -> Known:
    """Raises ValueError, which says where what is wrong."""
    try:
        return convert(state, Known, str_keys=True)
    except ValidationError as error:
        raise ValueError(f"these are no learned costs: {error}") from error


def written(
    tokens_per_byte: Mapping[int, Average], rates: Rates, replicas: Mapping[str, Rates], outputs: Outputs, now: float
) -> dict[str, Any]:
    known = Known(
        tokens_per_byte={size: _average(each) for size, each in tokens_per_byte.items()},
        rates=_rates(rates),
        replicas={name: _rates(each) for name, each in replicas.items()},
        outputs=[
            KnownAnswers(tenant, size, [(EDGES[number], count) for number, count in enumerate(counts) if count])
            for tenant, size, histogram in outputs
            for counts in [histogram.counts(now)]
        ],
    )
    plain: dict[str, Any] = to_builtins(known, str_keys=True)
    return plain


def _average(average: Average) -> KnownAverage:
    return KnownAverage(average.value, average.count)


def _rates(rates: Rates) -> KnownRates:
    return KnownRates(rates.first.sums, _average(rates.decoding))

"""A stand whose upstream has few slots, and whose gateway is told of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec

from loadtests.bench.stand import Stand, stand
from loadtests.overload.upstream import SLOTS


@dataclass(frozen=True)
class Terms:
    """The gateway's settings of admission: `limits` of a replica, and seconds to a start by class."""

    start_within: Mapping[str, float]
    limits: Mapping[str, int]

    def yaml(self) -> str:
        """To be appended to a configuration that ends within its only model."""
        limits = msgspec.json.encode(self.limits).decode()
        return f"    limits: {limits}\nadmission: {msgspec.json.encode({'start_within': self.start_within}).decode()}\n"


SHORT = Terms({"critical": 0.45, "standard": 0.45, "batch": 0.45}, {"requests": SLOTS})
"""Who is served has the answer within 0.6 s."""


@contextmanager
def admitting(terms: Terms = SHORT) -> Iterator[Stand]:
    with stand() as place:
        config = place.config.with_name("admission.yaml")
        config.write_text(place.config.read_text() + terms.yaml())
        yield replace(place, config=config)

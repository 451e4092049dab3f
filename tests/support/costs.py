"""Requests that have ended, as costs are told of them, and costs whose clock a test moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engines.api import LARGE_GPU, Prices
from router.cost import Costs, Finished

PLAIN = Finished(
    tenant="a",
    replica="one",
    prompt=1000,
    output=100,
    capped=False,
    exact=True,
    body=4000,
    begun=0.1,
    held=1.1,
    whole=False,
    beside=1,
    work=0.04,
)


class Ledger:
    """Costs that learn four times a second."""

    def __init__(self, prices: Prices | None = None) -> None:
        self.now = 1000.0
        self.costs = Costs(lambda: self.now, prices or LARGE_GPU)

    def learn(self, *ended: Finished, pause: float = 0.25) -> None:
        self.now += pause
        self.costs.learn(ended)

    def each(self, ended: Iterable[Finished], pause: float = 0.25) -> None:
        """One after the other."""
        for one in ended:
            self.learn(one, pause=pause)


def finished(**different: Any) -> Finished:
    fields = {name: getattr(PLAIN, name) for name in PLAIN.__slots__}
    return Finished(**{**fields, **different})

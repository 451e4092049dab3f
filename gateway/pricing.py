"""What tokens cost, in whole numbers: no fraction of money ever becomes a float."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MICRO: Final = 1_000_000
"""Parts of the unit that prices are in (dollars, say). Costs are kept in these."""
PER: Final = 1_000_000
"""Tokens that a price is for."""


@dataclass(slots=True, frozen=True)
class Price:
    """Of a model's tokens from `since` on (Unix seconds). Of a prompt's and an answer's: millionths per PER tokens."""

    model: str
    since: int
    prompt: int
    completion: int

    def cost(self, prompt: int, completion: int) -> int:
        """Of so many tokens, in millionths; rounded once, half to even."""
        whole, rest = divmod(self.prompt * prompt + self.completion * completion, PER)
        return whole + (2 * rest > PER or (2 * rest == PER and whole % 2))


class PriceList:
    """All prices of all models, those that hold no more included."""

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        self._of: dict[str, list[Price]] = {}
        for price in sorted(prices, key=_since):
            self._of.setdefault(price.model, []).append(price)

    def __repr__(self) -> str:
        return f"<PriceList of {len(self._of)} models>"

    def cost(self, model: str, at: int, prompt: int, completion: int) -> int:
        """In millionths, by the price that held at that time (Unix seconds); 0 where there was none."""
        price = self._price(model, at)
        return price.cost(prompt, completion) if price is not None else 0

    def buys(self, model: str, at: int, money: int) -> int | None:
        """Tokens of an answer that so many millionths pay for, by the price that held then; None: they cost nothing."""
        price = self._price(model, at)
        return money * PER // price.completion if price is not None and price.completion else None

    def _price(self, model: str, at: int) -> Price | None:
        history = self._of.get(model, [])
        nth = bisect_right(history, at, key=_since)
        return history[nth - 1] if nth else None


def _since(price: Price) -> int:
    return price.since


def decimal(cost: int) -> str:
    """Millionths for people, and for machines that know decimals: 1500 is 0.001500."""
    return f"{cost // MICRO}.{cost % MICRO:06}"


def millionths(cost: str) -> int:
    """What `decimal` was told."""
    return int(cost.replace(".", ""))

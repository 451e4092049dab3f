"""What tokens cost on a replica: seconds to first content by the prompt's length, and seconds per answer's token."""

from __future__ import annotations

from collections.abc import Iterable

SAMPLES = 64
"""Requests that count, about; the latest most."""
OUTLIER = 8.0
"""A sample counts as no more than so many times what was expected, and as no less than that part of it."""
BEHIND = 0.25
"""What a sample above the expected counts: it may have waited for others, and what is wanted is how long it takes."""
SPREAD = 16 * 256.0**2
"""Square tokens by which the boot price counts: prompts of one length do not tell what longer ones would take."""
LEAST = 1 / 1024
"""Of the boot price: work is never free, and from nothing no factor leads back."""


def tamed(sample: float, expected: float) -> float:
    """The sample, as far as it is to be believed; finite and above zero if `expected` is, whatever was measured."""
    return max(expected / OUTLIER, min(expected * OUTLIER, sample))


class Average:
    """Of the latest `count` samples; what it starts from counts as one of them."""

    __slots__ = ("_least", "count", "value")

    def __init__(self, boot: float, value: float | None = None, count: float = 1.0) -> None:
        self._least = LEAST * boot
        self.value = boot if value is None else value
        self.count = count

    def __repr__(self) -> str:
        return f"<Average {self.value:.3g} of {self.count:.0f}>"

    def learn(self, samples: Iterable[float]) -> None:
        for sample in samples:
            if self.count < SAMPLES:
                self.count += 1
            believed = max(self._least, tamed(sample, self.value))
            self.value += (believed - self.value) / self.count


class FirstContent:
    """Seconds to first content = `base` + `price` * tokens of the prompt: least squares, held to the boot price.

    `sums` are those of weights, tokens, seconds, tokens squared and tokens * seconds over the latest samples.
    """

    __slots__ = ("_boot", "base", "price", "sums")

    def __init__(self, boot: float, sums: tuple[float, float, float, float, float] = (0.0,) * 5) -> None:
        self._boot = boot
        self.sums = sums
        self.base = 0.0
        self.price = boot
        if sums[0]:
            self._fit()

    def __repr__(self) -> str:
        return f"<FirstContent after {1e3 * self.base:.1f} ms + {1e6 * self.price:.1f} us per token>"

    def expected(self, prompt: int) -> float:
        return self.base + self.price * prompt

    def learn(self, samples: Iterable[tuple[int, float]]) -> None:
        """Tokens of the prompt, at least 1, and seconds to first content, each."""
        n, x, y, xx, xy = self.sums
        kept = 1 - 1 / SAMPLES
        for prompt, taken in samples:
            expected = self.base + self.price * prompt
            seconds = tamed(taken, expected)
            weight = BEHIND if seconds > expected else 1.0
            weighed = weight * prompt
            n = n * kept + weight
            x = x * kept + weighed
            y = y * kept + weight * seconds
            xx = xx * kept + weighed * prompt
            xy = xy * kept + weighed * seconds
        self.sums = n, x, y, xx, xy
        if n:
            self._fit()

    def _fit(self) -> None:
        n, x, y, xx, xy = self.sums
        spread = max(0.0, xx - x * x / n)
        price = (xy - x * y / n + SPREAD * self._boot) / (spread + SPREAD)
        # Neither may be below zero: what is negative in one is in truth less of the other.
        self.price = max(LEAST * self._boot, min(price, y / x))
        self.base = max(0.0, (y - self.price * x) / n)


class Rates:
    """What is known of one replica, or of all of them.

    `decoding` is seconds per token of an answer, other requests of the batch taken off; `at` is when something last
    ended there (seconds).
    """

    __slots__ = ("at", "decoding", "first")

    def __init__(self, first: FirstContent, decoding: Average, at: float = 0.0) -> None:
        self.first = first
        self.decoding = decoding
        self.at = at

    def __repr__(self) -> str:
        return f"<Rates {self.first!r}, {1e6 * self.decoding.value:.1f} us per token of an answer>"

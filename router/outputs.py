"""How long answers will be: what a tenant's requests of like size have come to lately."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat
from operator import add, mul

BOOT = 256
"""Tokens of an answer before any has come."""
SHARE = 0.7
"""Of the answers are no longer than expected: one that is too short fills a replica, one too long only costs room."""
HALF_LIFE = 600.0
"""Seconds in which what came counts half."""
PRIOR = 16.0
"""Answers that what is known of all tenants counts for beside a tenant's own, and BOOT beside what is known of all."""
BOUND = 1024
"""Pairs of tenant and prompt size that are remembered."""
MOST = 1 << 20
"""Tokens; answers beyond count as such."""
RENEWED = 1 / 16
"""Of what is known has to be new, in answers or in age, before it is worked out anew what to expect."""


def bucket(tokens: int) -> int:
    """Where an answer counts: 0 for none, each length up to eight by itself, then four to the octave."""
    if tokens <= 0:
        return 0
    below = min(tokens, MOST) - 1
    octave = max(0, below.bit_length() - 3)
    return 1 + 4 * octave + (below >> octave)


def edge(number: int) -> int:
    """The most tokens that count in this bucket; powers of two, which callers ask for, are exact."""
    octave = max(0, (number - 1) // 4 - 1)
    return (number - 4 * octave) << octave


EDGES = tuple(edge(number) for number in range(bucket(MOST) + 1))
NONE = (0.0,) * len(EDGES)
BOOTED = tuple(PRIOR * (number == bucket(BOOT)) for number in range(len(EDGES)))


class Histogram:
    """Answers by their length, the older the less (`at`: seconds), and the length that SHARE of them keep to.

    A prior is PRIOR answers, by bucket, that are taken for granted.
    """

    __slots__ = ("_at", "_counts", "_new", "expected", "total")

    def __init__(self, at: float, prior: Sequence[float], counts: Sequence[float] = NONE) -> None:
        self._at = at
        self._counts = array("d", counts)
        self._new: list[int] = []  # buckets of answers that have come since
        self.renew(at, prior)

    def __repr__(self) -> str:
        return f"<Histogram of {self.total:.1f} answers, at most {self.expected} tokens expected>"

    def counts(self, now: float) -> array[float]:
        """Answers seen, by bucket, as far as they still count."""
        counts = self._counts[:]
        for number in self._new:
            counts[number] += 1
        kept = 0.5 ** ((now - self._at) / HALF_LIFE)
        return array("d", map(mul, counts, repeat(kept)))

    def learn(self, buckets: Iterable[int], now: float, prior: Sequence[float]) -> None:
        if now - self._at >= RENEWED * HALF_LIFE:  # before what is new would count as so old
            self.renew(now, prior)
        self._new += buckets
        if len(self._new) >= RENEWED * self.total:
            self.renew(now, prior)

    def renew(self, now: float, prior: Sequence[float]) -> None:
        """Work out what to expect."""
        self._counts = self.counts(now)
        self._new.clear()
        self._at = now
        self.total = sum(self._counts)
        sums = list(accumulate(map(add, self._counts, prior)))
        self.expected = EDGES[bisect_left(sums, SHARE * sums[-1])]


class Everybody(Histogram):
    """That of all tenants, which is the prior of each."""

    __slots__ = ("prior",)

    def renew(self, now: float, prior: Sequence[float]) -> None:
        super().renew(now, prior)
        scale = PRIOR / (self.total + PRIOR)
        self.prior = [scale * (count + taken) for count, taken in zip(self._counts, prior, strict=True)]


class Outputs:
    """A histogram per tenant and prompt size (octaves), above one of all tenants per size; the latest BOUND pairs."""

    __slots__ = ("_all", "_own")

    def __init__(self) -> None:
        self._all: dict[int, Everybody] = {}
        self._own: OrderedDict[tuple[str, int], Histogram] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Outputs of {len(self._own)} tenants by {len(self._all)} sizes of prompts>"

    def __iter__(self) -> Iterator[tuple[str | None, int, Histogram]]:
        """Each with its tenant, None for all, and size; those that would go first come first."""
        yield from ((None, size, histogram) for size, histogram in self._all.items())
        yield from ((tenant, size, histogram) for (tenant, size), histogram in self._own.items())

    def expected(self, tenant: str, prompt: int) -> int:
        """Tokens of the answer to a prompt of so many."""
        size = prompt.bit_length()
        known = self._own.get((tenant, size))
        if known is None or known.total < PRIOR:  # who is served seldom is as the others are now, not as they were then
            known = self._all.get(size)
        return BOOT if known is None else known.expected

    def learn(self, answers: Iterable[tuple[str, int, int]], now: float) -> None:
        """Tenant, prompt and answer (tokens) of each that has ended."""
        own: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        sizes: defaultdict[int, list[int]] = defaultdict(list)
        for tenant, prompt, output in answers:
            own[tenant, min(prompt, MOST).bit_length()].append(bucket(output))
        for (_, size), buckets in own.items():
            sizes[size] += buckets
        for size, buckets in sizes.items():
            everybody = self._all.get(size) or self._all.setdefault(size, Everybody(now, BOOTED))
            everybody.learn(buckets, now, BOOTED)
        for (tenant, size), buckets in own.items():
            prior = self._all[size].prior
            histogram = self._own.get((tenant, size)) or Histogram(now, prior)
            histogram.learn(buckets, now, prior)
            self._keep((tenant, size), histogram)

    def put(self, tenant: str | None, size: int, counts: Sequence[float], now: float) -> None:
        """What was learned before; that of all tenants comes before that of each."""
        if tenant is None:
            self._all[size] = Everybody(now, BOOTED, counts)
        else:
            everybody = self._all.get(size)
            self._keep((tenant, size), Histogram(now, everybody.prior if everybody else BOOTED, counts))

    def _keep(self, key: tuple[str, int], histogram: Histogram) -> None:
        self._own[key] = histogram
        self._own.move_to_end(key)
        if len(self._own) > BOUND:
            self._own.popitem(last=False)

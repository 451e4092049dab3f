"""What a request will cost before it has run: tokens, seconds of work, and how long it holds its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from engines.api import LARGE_GPU, Prices
from router.learned import Known, known
from router.outputs import HALF_LIFE, MOST, Outputs
from router.pace import Pace
from router.rates import Average, FirstContent, Rates

TOKENS_PER_BYTE = 0.25
"""Of a request's body, before anything is learned."""
LEAST_WORK, LONGEST = 1e-9, 1e6
"""Seconds of work, and of holding a place at most; what is less or more is a mistake."""
DECODED = 8
"""Tokens of an answer from which on its pace tells something."""


@dataclass(slots=True, frozen=True)
class Finished:
    """A request that has given up its place, however it ended. Times in seconds."""

    tenant: str
    replica: str
    prompt: int
    """Tokens, as counted."""
    output: int
    capped: bool
    """Whether it ended where its caller's limits did: then it may have been to become longer."""
    exact: bool
    """Whether the server counted."""
    body: int
    """Bytes, with images and sound as if they were text."""
    begun: float
    """From its ticket to its first content; 0.0: none came."""
    held: float
    """From its ticket to its end."""
    whole: bool
    """Whether its text came in one piece: then `begun` tells nothing of prefill."""
    beside: int
    """Requests that the replica was busy with at the end, at least 1: this one too."""
    work: float
    """As it was estimated when it was admitted."""


class Costs:
    """What is known of a version's requests and replicas. `clock` tells seconds and never goes back.

    Estimates are look-ups of what `learn` has worked out. Measurements that cannot be are not learned from.
    """

    __slots__ = ("_clock", "_outputs", "_pace", "_prices", "_rates", "_tokens_per_byte", "replicas")

    def __init__(self, clock: Callable[[], float], prices: Prices = LARGE_GPU) -> None:
        self._clock = clock
        self._prices = prices
        self._outputs = Outputs()
        self._rates = self._boot()
        self._pace = Pace(clock())
        self._tokens_per_byte: dict[int, Average] = {}  # by octave of the body: what is short and what is long differ
        self.replicas: dict[str, Rates] = {}
        """By name; those that nothing ended on for ten minutes, while it did on others, are gone."""

    def __repr__(self) -> str:
        return f"<Costs {self._rates!r}, {self._outputs!r}, {self._pace!r}>"

    @property
    def held_per_work(self) -> float | None:
        """Seconds that a request holds its place for each second of its work; None until one has ended."""
        return self._pace.held_per_work

    def prompt(self, body: int) -> int:
        """Tokens to expect of a body of so many bytes of text, at least 1."""
        known = self._tokens_per_byte.get(body.bit_length())
        return int(body * (TOKENS_PER_BYTE if known is None else known.value)) or 1

    def output(self, tenant: str, prompt: int, cap: int | None) -> int:
        """Tokens to expect of the answer, at most `cap`: seven of ten are no longer."""
        expected = self._outputs.expected(tenant, prompt)
        return expected if cap is None or cap > expected else cap

    def work(self, prompt: int, output: int) -> float:
        """Seconds of a replica's time."""
        rates = self._rates
        return prompt * rates.first.price + output * rates.decoding.value

    def prefill(self, prompt: int) -> float:
        """Seconds until first content, on a replica that is not behind."""
        return self._rates.first.expected(prompt)

    def learn(self, ended: Iterable[Finished]) -> None:
        """What has ended since the last call; some four times a second."""
        now = self._clock()
        possible = [each for each in ended if _possible(each)]
        self._pace.learn(((each.work, each.held) for each in possible), now)
        answered = [each for each in possible if 0 < each.begun <= each.held]
        # Who is at their limits would else be expected to have short answers, and be let in for a few tokens each time.
        # By the prompt that its body lets expect, as when it was asked for: at an octave's edge the two may differ.
        by_itself = [each for each in answered if not each.capped]
        self._outputs.learn(((each.tenant, self.prompt(each.body), each.output) for each in by_itself), now)
        self._learn_bytes(answered)
        self._learn_rates([each for each in answered if each.prompt], now)

    def state(self) -> Known:
        """What has been learned, but for how long places are held, which is soon learned anew."""
        return known(self._tokens_per_byte, self._rates, self.replicas, self._outputs, self._clock())

    def restore(self, known: Known, replicas: Container[str]) -> None:
        """Know this, as if it had been learned now, and of replicas that which is about these."""
        now = self._clock()
        boot = self._prices.prefill, self._prices.decode
        self._tokens_per_byte = known.averages(TOKENS_PER_BYTE)
        self._rates = known.rates.rates(*boot, now)
        self.replicas = {name: each.rates(*boot, now) for name, each in known.replicas.items() if name in replicas}
        self._outputs = known.histograms(now)

    def _boot(self) -> Rates:
        return Rates(FirstContent(self._prices.prefill), Average(self._prices.decode))

    def _learn_bytes(self, answered: Iterable[Finished]) -> None:
        """Only from what the server counted: our own count comes from the bytes."""
        sizes = self._tokens_per_byte
        for each in answered:
            if each.exact and each.prompt and each.body:
                size = each.body.bit_length()
                known = sizes.get(size) or sizes.setdefault(size, Average(TOKENS_PER_BYTE))
                known.learn((each.prompt / each.body,))

    def _learn_rates(self, answered: list[Finished], now: float) -> None:
        if not answered:
            return
        replicas: defaultdict[str, list[Finished]] = defaultdict(list)
        for each in answered:
            replicas[each.replica].append(each)
        for name, ended in replicas.items():
            replica = self.replicas.get(name) or self.replicas.setdefault(name, self._boot())
            _learn_rates(replica, ended)
            replica.at = now
        _learn_rates(self._rates, answered)
        self._forget(now)

    def _forget(self, now: float) -> None:
        for name in [name for name, rates in self.replicas.items() if now - rates.at > HALF_LIFE]:
            del self.replicas[name]


def _possible(each: Finished) -> bool:
    counts = 0 <= each.prompt <= MOST and 0 <= each.output <= MOST and each.body >= 0 and each.beside >= 1
    return counts and 0 <= each.held < LONGEST and LEAST_WORK <= each.work < LONGEST


def _learn_rates(rates: Rates, ended: list[Finished]) -> None:
    expected = rates.first.expected
    rates.decoding.learn(
        (each.held - (expected(each.prompt) if each.whole else each.begun)) / (each.output * each.beside)
        for each in ended
        if each.output >= DECODED
    )
    rates.first.learn((each.prompt, each.begun) for each in ended if not each.whole)

"""What goes on beside requests, by model: copies for a shadow, and hedges; kept over changes of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from random import Random

from gateway.config.routing import RoutingSpec, ShadowSpec
from gateway.exposition import family, histogram, labels
from gateway.finish import FinishEar
from gateway.shadow_scores import ShadowScores
from router.hedging import FLOOR, SHARE, Hedge, HedgeAccount
from router.model import Model, Version
from router.racing import HEDGE_OUTCOMES
from router.retries import RetryBudget
from router.shadow import SHADOW_OUTCOMES, Shadow


class Asides:
    """Makes shadows and hedges, and counts what becomes of them. `clock`: the loop's seconds.

    Models and versions are the configuration's, so their number is too. All counters are there from the start.
    """

    def __init__(self, clock: Callable[[], float], random: Random) -> None:
        self._clock = clock
        self._random = random
        self._scores: dict[tuple[str, str], ShadowScores] = {}
        self._accounts: dict[str, HedgeAccount] = {}

    def __repr__(self) -> str:
        return f"<Asides {self._scores!r}, {self._accounts!r}>"

    def beside(self, model: Model, route: RoutingSpec, drained: Collection[str]) -> Model:
        """The model with what its route says of shadow and hedges; a shadow that is drained gets no copies."""
        shadow = hedge = None
        if route.shadow is not None and route.shadow.version not in drained:
            shadow = self._shadow(model.versions[route.shadow.version], route.model, route.shadow)
        if route.hedge is not None:
            hedge = Hedge(route.hedge.after, self._account(route.model))
        return replace(model, shadow=shadow, hedge=hedge)

    def close(self) -> None:
        """End the copies under way."""
        for scores in self._scores.values():
            for copy in scores.running:
                copy.cancel()

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        scores = [(labels(("model", "version"), key), each) for key, each in tuple(self._scores.items())]
        yield from family(
            "counter", "snowshed_shadow_total", "Copies of requests for the shadow version, by what became of them.",
            [
                (f'{between},outcome="{outcome}"', each.outcomes[outcome])
                for between, each in scores
                for outcome in SHADOW_OUTCOMES
            ],
        )  # fmt: skip
        yield from family(
            "counter", "snowshed_shadow_finish_reason_total",
            "Answers whose copy was answered too, by whether both ended for the same reason.",
            [
                (f'{between},agree="{agree}"', count)
                for between, each in scores
                for agree, count in (("true", each.agreed), ("false", each.disagreed))
            ],
        )  # fmt: skip
        yield from histogram(
            "snowshed_shadow_first_content_seconds", "From the dispatch to the first content, of answers compared.",
            [(f'{between},side="{side}"', spread) for between, each in scores for side, spread in each.first_content],
        )  # fmt: skip
        yield from histogram(
            "snowshed_shadow_completion_tokens", "Tokens of answers compared.",
            [(f'{between},side="{side}"', spread) for between, each in scores for side, spread in each.tokens],
        )  # fmt: skip
        yield from family(
            "counter", "snowshed_hedges_total", "Requests that were slow to begin, by what became of their hedge.",
            [
                (f'{labels(("model",), (model,))},outcome="{outcome}"', account.outcomes[outcome])
                for model, account in tuple(self._accounts.items())
                for outcome in HEDGE_OUTCOMES
            ],
        )  # fmt: skip

    def _shadow(self, version: Version, model: str, spec: ShadowSpec) -> Shadow:
        """A model's adapters share its places."""
        scores = self._scores.setdefault((model, version.name), ShadowScores())
        return Shadow(version, spec.share, spec.concurrency, scores, FinishEar, self._random.random, self._clock)

    def _account(self, model: str) -> HedgeAccount:
        account = self._accounts.get(model)
        if account is None:
            account = self._accounts[model] = HedgeAccount(RetryBudget(self._clock, SHARE, floor=FLOOR))
        return account

"""How the answers of a shadow version compare with those that callers got, in counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from gateway.tallies import FIRST_TOKEN, TOKENS, Histogram
from router.comparing import Side
from router.shadow import Copy, ShadowOutcome

Spreads = Sequence[tuple[Literal["primary", "shadow"], Histogram]]
"""Of both sides of the same requests."""


class ShadowScores:
    """The `router.shadow.Scores` of one version."""

    def __init__(self) -> None:
        self.running: set[Copy] = set()
        self.outcomes: Counter[ShadowOutcome] = Counter()
        self.agreed = self.disagreed = 0
        self.first_content: Spreads = _both(FIRST_TOKEN)
        self.tokens: Spreads = _both(TOKENS)

    def __repr__(self) -> str:
        return f"<ShadowScores {len(self.running)} running, {dict(self.outcomes)}>"

    def ended(self, outcome: ShadowOutcome) -> None:
        self.outcomes[outcome] += 1

    def compare(self, primary: Side, shadow: Side) -> None:
        for (_, seconds), (_, tokens), side in zip(self.first_content, self.tokens, (primary, shadow), strict=True):
            seconds.observe(side.first_content)
            tokens.observe(side.tokens)
        if primary.finish_reason == shadow.finish_reason:
            self.agreed += bool(primary.finish_reason)  # embeddings have none
        else:
            self.disagreed += 1


def _both(bounds: tuple[float, ...]) -> Spreads:
    return (("primary", Histogram(bounds)), ("shadow", Histogram(bounds)))

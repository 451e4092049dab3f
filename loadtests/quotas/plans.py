"""The limits that a load is held to, in a gateway's words and in the judge's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from loadtests.quotas.history import Lapse, Limit

Unit = Literal["requests", "output_tokens", "tokens"]
Holder = Literal["key", "tenant", "model"]
MODEL = "mock"
MINUTE = 60.0
CHUNK = 0.5
"""Seconds of a limit's rate that a gateway may have taken in advance."""


@dataclass(slots=True, frozen=True)
class Bound:
    """So many units a minute for each holder of whoever is on the plan."""

    plan: str
    holder: Holder
    unit: Unit
    per_minute: int

    def limit(self, gateways: int, lapses: Sequence[Lapse] = ()) -> Limit:
        """For the judge."""
        rate = self.per_minute / MINUTE
        return Limit(rate, self.per_minute, lapses, gateways * CHUNK * rate)

    def __str__(self) -> str:
        return f"{self.unit} of a {self.holder} on the plan {self.plan}"


BOUNDS = (
    Bound("calls", "key", "requests", 60),
    Bound("calls", "tenant", "requests", 100),
    Bound("answers", "key", "output_tokens", 1200),
    Bound("answers", "model", "output_tokens", 2000),
    Bound("sums", "key", "tokens", 4000),
    Bound("sums", "tenant", "tokens", 6500),
)
SLOTS, SLOTTED = 4, "slots"
"""Requests under way of a tenant on the plan of that name."""


def plans(bounds: Sequence[Bound]) -> list[dict[str, Any]]:
    """As in a configuration."""
    made: dict[str, dict[str, Any]] = {SLOTTED: {"name": SLOTTED, "tenant": {"concurrent_requests": SLOTS}}}
    for bound in bounds:
        plan = made.setdefault(bound.plan, {"name": bound.plan})
        most = {f"{bound.unit}_per_minute": bound.per_minute}
        if bound.holder == "model":
            plan["models"] = [{"model": MODEL, **most}]
        else:
            plan[bound.holder] = most
    return list(made.values())

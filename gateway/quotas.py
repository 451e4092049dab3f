"""Which limits bind a caller for a model: those of its key, of its tenant, and of its tenant for that model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.config.quotas import DEFAULT, Allowance, Plan
from router.model import Model
from security.api import Principal
from security.limits.api import Bucket, Quota, Slots, Unit, key

MINUTE, DAY = 60.0, 86_400.0
BUCKETS: Final[tuple[tuple[str, Unit, float], ...]] = (
    ("requests_per_minute", "requests", MINUTE),
    ("input_tokens_per_minute", "input_tokens", MINUTE),
    ("output_tokens_per_minute", "output_tokens", MINUTE),
    ("tokens_per_minute", "tokens", MINUTE),
    ("tokens_per_day", "tokens", DAY),
)
"""What an allowance may bound, in what unit and over how many seconds."""
NOBODY: Final = "-"
"""Stands for the tenant where nobody is asked who they are: no tenant's name, and not empty, as a cluster keeps limits
together by it.
"""
CONCURRENT: Final = "concurrent_requests"
REMEMBERED: Final = 20_000
"""Callers, each with a model, whose limits are not put together anew."""


class Quotas:
    """By plan. Who is on one that is not listed is on the one named default, if that is."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._plans = {plan.name: plan for plan in plans}
        self._known: OrderedDict[tuple[str, str, str, str], Quota | None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Quotas of {len(self._plans)} plans, {len(self._known)} callers known>"

    def of(self, principal: Principal, model: Model) -> Quota | None:
        """None: nothing binds it."""
        if not self._plans:
            return None
        name = principal.key_id, principal.tenant, principal.plan, model.name
        try:
            return self._known[name]
        except KeyError:
            quota = self._known[name] = self._put_together(principal, model)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return quota

    def _put_together(self, principal: Principal, model: Model) -> Quota | None:
        plan = self._plans.get(principal.plan) or self._plans.get(DEFAULT)
        if plan is None:
            return None
        holders: list[tuple[Allowance, tuple[str, ...]]] = [
            (plan.key, ("key", principal.key_id)),
            (plan.tenant, ("tenant",)),
            *((each, ("model", each.model)) for each in plan.models if each.model == model.name),
        ]
        tenant = principal.tenant or NOBODY
        buckets = [bucket for allowance, holder in holders for bucket in _buckets(allowance, tenant, holder, plan)]
        slots = [
            Slots(key(tenant, *holder, CONCURRENT), most, enforce=plan.enforce)
            for allowance, holder in holders
            if (most := allowance.concurrent_requests) is not None
        ]
        return Quota(tenant, tuple(buckets), tuple(slots), plan.without_store) if buckets or slots else None


def _buckets(allowance: Allowance, tenant: str, holder: tuple[str, ...], plan: Plan) -> Iterator[Bucket]:
    for name, unit, window in BUCKETS:
        limit: int | None = getattr(allowance, name)
        if limit is not None:
            yield Bucket(key(tenant, *holder, name), unit, limit, window, enforce=plan.enforce)


def described(limit: Bucket | Slots) -> tuple[str, str]:
    """Whose limit it is (key, tenant or model) and what it bounds, as in the configuration; nobody's name."""
    own = limit.key.partition("}:")[2]
    return own.partition(":")[0], own.rpartition(":")[2]

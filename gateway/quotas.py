"""Which limits bind a caller for a model: those of its key, of its tenant, and of its tenant for that model."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.budgets import MARK, budgets_of
from gateway.config.quotas import DEFAULT, Allowance, Plan
from gateway.overriding import NEVER, NONE, BothOverrides, Overrides, laid
from router.model import Model
from security.api import Principal
from security.limits.api import Bucket, Limit, Quota, Slots, Unit, key

_logger = logging.getLogger("snowshed")

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
TOLD: Final = 100
"""Names of plans that are not listed, of which each is told once."""


class Quotas:
    """By plan. Who is on one that is not listed is on the one named default, if that is.

    What a bucket has been used, its stores know as a share of its window: a plan that changes leaves it at that share,
    and a reservation is settled by the limits that it was made by.
    """

    def __init__(self, plans: Sequence[Plan], overrides: Overrides = NONE) -> None:
        self.file: Mapping[str, Plan] = {}
        """What the file says, by name."""
        self.entries: Mapping[str, Plan] = {}
        """What was set over the admin API, which holds over it."""
        self.plans: Mapping[str, Plan] = {}
        """What both come to."""
        self.file_overrides = self.set_overrides = self.overrides = NONE
        """What the file has other for single tenants and keys, what was set over the admin API, and what holds."""
        self.unlisted = 0
        """Callers whose plan is not listed, each once for each model that it asks for, until plans change."""
        self._known: OrderedDict[tuple[str, str, str, str], Quota | None] = OrderedDict()
        self._told: set[str] = set()
        self._ends_ms = NEVER
        self.apply(plans, overrides)

    def __repr__(self) -> str:
        return f"<Quotas of {len(self.plans)} plans, {len(self._known)} callers known>"

    def apply(self, plans: Sequence[Plan], overrides: Overrides = NONE) -> None:
        """From the next request on the file says these."""
        self.file = {plan.name: plan for plan in plans}
        self.file_overrides = overrides
        self._hold()

    def lay(self, entries: Mapping[str, Plan], overrides: Overrides = NONE) -> None:
        """From the next request on these hold over the file's."""
        self.entries = entries
        self.set_overrides = overrides
        self._hold()

    def keep(self, at_ms: int) -> None:
        """Overrides that have ended by that time, in Unix milliseconds, hold no more."""
        if at_ms >= self._ends_ms:
            self._hold(at_ms // 1000)

    def of(self, principal: Principal, model: Model, at_ms: int = 0) -> Quota | None:
        """None: nothing binds it. Budgets are those of that time, in Unix milliseconds."""
        if at_ms >= self._ends_ms:
            self.keep(at_ms)
        if not (self.plans or self.overrides.tenants or self.overrides.keys):
            return None
        name = principal.key_id, principal.tenant, principal.plan, model.name
        try:
            quota = self._known[name]
        except KeyError:
            if not self.lists(principal.plan):
                self._tell(principal.plan)
            return self._put_together(name, at_ms // 1000)
        if quota is not None and quota.budgets and not quota.budgets[0].holds(at_ms // 1000):
            return self._put_together(name, at_ms // 1000)
        return quota

    def _put_together(self, name: tuple[str, str, str, str], at: int) -> Quota | None:
        key_id, tenant, called, model = name
        plan = self.plan_of(called, tenant, key_id)
        quota = self._known[name] = None if plan is None else quota_of(plan, tenant, key_id, model, at)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return quota

    def plan_of(self, called: str, tenant: str, key_id: str | None) -> Plan | None:
        """What binds them who are on the plan of that name, with their overrides; None: nothing."""
        plan = self.plans.get(called) or self.plans.get(DEFAULT)
        for_tenant, for_key = self.overrides_of(tenant, key_id)
        if for_tenant is None and for_key is None:
            return plan
        return laid(plan or Plan(name=DEFAULT), for_tenant, for_key)

    def overrides_of(self, tenant: str, key_id: str | None) -> BothOverrides:
        """Those that hold for them."""
        return self.overrides.tenants.get(tenant), self.overrides.keys.get(key_id or "")

    def seen(self, name: str) -> tuple[str, str, str] | None:
        """Key's id, tenant and plan of who came last of those with this id or tenant; None: nobody since plans hold."""
        known = reversed(self._known)
        return next(((key, tenant, plan) for key, tenant, plan, _ in known if name in (key, tenant)), None)

    def lists(self, name: str) -> bool:
        """Whether who is on this plan is bound by it, and by no other; where there is none, any name will do."""
        return name in self.plans or name == DEFAULT or not self.plans

    def _hold(self, at: int = 0) -> None:
        self.plans = {**self.file, **self.entries}
        self.overrides = self.set_overrides.over(self.file_overrides).at(at)
        self._ends_ms = self.overrides.ends_ms()
        self._known.clear()

    def _tell(self, plan: str) -> None:
        self.unlisted += 1
        if plan not in self._told and len(self._told) < TOLD:
            self._told.add(plan)
            instead = f"that of {DEFAULT} holds" if DEFAULT in self.plans else "nothing is limited"
            _logger.warning("plan not listed", extra={"plan": plan, "instead": instead})


def quota_of(plan: Plan, tenant: str, key_id: str | None, model: str | None, at: int | None = None) -> Quota | None:
    """What the plan has bind a tenant's key for a model; None: nothing.

    Without a key what binds all of the tenant's together, without a model what binds for any; and without a time
    (Unix seconds) no budgets.
    """
    holders: list[tuple[Allowance, tuple[str, ...]]] = [
        *([] if key_id is None else [(plan.key, ("key", key_id))]),
        (plan.tenant, ("tenant",)),
        *((each, ("model", each.model)) for each in plan.models if model in (None, each.model)),
    ]
    tenant = tenant or NOBODY
    buckets = [bucket for allowance, holder in holders for bucket in _buckets(allowance, tenant, holder, plan)]
    slots = [
        Slots(key(tenant, *holder, CONCURRENT), most, enforce=plan.enforce)
        for allowance, holder in holders
        if (most := allowance.concurrent_requests) is not None
    ]
    budgets = () if at is None else tuple(budgets_of(holders, tenant, at, enforce=plan.enforce))
    if not (buckets or slots or budgets):
        return None
    return Quota(tenant, tuple(buckets), tuple(slots), plan.without_store, plan.cut_answers, budgets)


def _buckets(allowance: Allowance, tenant: str, holder: tuple[str, ...], plan: Plan) -> Iterator[Bucket]:
    for name, unit, window in BUCKETS:
        limit: int | None = getattr(allowance, name)
        if limit is not None:
            yield Bucket(key(tenant, *holder, name), unit, limit, window, enforce=plan.enforce)


def described(limit: Limit) -> tuple[str, str]:
    """Whose limit it is (key, tenant or model) and what it bounds, as in the configuration; nobody's name."""
    own = limit.key.partition("}:")[2]
    return own.partition(":")[0], own.rpartition(":")[2].partition(MARK)[0]


def named(limit: Limit) -> str:
    """The id of the key, or the name of the model, whose it is; "" for a tenant's."""
    return limit.key.partition("}:")[2].partition(":")[2].rpartition(":")[0]

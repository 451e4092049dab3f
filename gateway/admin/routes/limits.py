"""The limits that bind a key or a tenant: by which plan, who says so, and how they stand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.admin.routes.answers import answer, documented
from gateway.admin.routes.limit_answers import NamedBy, SeenBudget, SeenLimit, SeenLimits
from gateway.admin.routes.overrides import seen_override
from gateway.config.quotas import DEFAULT
from gateway.overriding import BothOverrides, origin
from gateway.pricing import decimal
from gateway.quotas import Quotas, described, named, quota_of
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import NotThere
from gateway.store.registry import Registry
from security.ids import LONGEST
from security.limits.api import SECOND, Limit, Quota
from security.limits.limiter import Levels, Limiter

Name = Annotated[str, Path(pattern=rf"^[\x21-\x7e]{{1,{LONGEST}}}$")]


@dataclass(slots=True, frozen=True)
class _Caller:
    """`key` None: all of the tenant's. `plan`: which is named for them."""

    key: str | None
    tenant: str
    plan: str
    named_by: NamedBy


def routes(quotas: Quotas, limiter: Limiter, registry: BoundedRegistry) -> APIRouter:
    """/v1/limits/{name}."""
    router = APIRouter(tags=["limits"])

    @router.get("/limits/{name:path}", openapi_extra=documented(SeenLimits))
    async def read_limits(name: Name) -> Response:
        """Those of a key, by its id, or of a tenant, by its name, as they stand: to look takes nothing of them.

        Who shows a token or comes through a mesh has an id such as jwt:alice, and is known once this process has
        served them.
        """
        caller = await registry.ask(lambda them: _kept(them, name)) or _seen(quotas, name)
        return answer(await _stand(quotas, limiter, caller))

    return router


async def _kept(them: Registry, name: str) -> _Caller | None:
    """In the database."""
    try:
        key = await them.key(name)
    except NotThere:
        key = None
    try:
        tenant = await them.tenant(name if key is None else key.tenant)
    except NotThere:
        return None
    return _Caller(None if key is None else key.id, tenant.name, tenant.plan, "tenant")


def _seen(quotas: Quotas, name: str) -> _Caller:
    """Raises NotThere, without the name: it may be the whole key."""
    seen = quotas.seen(name)
    if seen is None:
        raise NotThere(
            "There is no key or tenant of that name, nor has this process served one since its plans changed.", "name"
        )
    key, tenant, plan = seen
    return _Caller(None if name == tenant else key, tenant, plan, "token" if key.startswith("jwt:") else "mesh")


async def _stand(quotas: Quotas, limiter: Limiter, caller: _Caller) -> SeenLimits:
    now = int(time.time())
    quotas.keep(now * 1000)
    named_plan = quotas.plans.get(caller.plan) or quotas.plans.get(DEFAULT)
    plan = quotas.plan_of(caller.plan, caller.tenant, caller.key)
    quota = (plan and quota_of(plan, caller.tenant, caller.key, None, now)) or Quota(caller.tenant)
    overrides = quotas.overrides_of(caller.tenant, caller.key)
    levels = await limiter.levels(quota)
    return SeenLimits(
        key=caller.key,
        tenant=caller.tenant,
        plan=None if named_plan is None else named_plan.name,
        plan_from=None if named_plan is None else "admin" if named_plan.name in quotas.entries else "file",
        named=caller.plan,
        named_by=caller.named_by,
        enforced=plan is not None and plan.enforce,
        without_store=None if plan is None else plan.without_store,
        store=levels.store,
        gateways=levels.gateways,
        limits=list(_limits(quota, levels, overrides)),
        budgets=list(_budgets(quota, levels, overrides)),
        overrides=[seen_override(quotas, one) for one in overrides if one is not None],
    )


def _limits(quota: Quota, levels: Levels, overrides: BothOverrides) -> Iterator[SeenLimit]:
    for bucket, level in zip(quota.buckets, levels.buckets, strict=True):
        holder, name = described(bucket)
        left, full_in, model = bucket.left(level), round(level / SECOND, 3), _model(bucket)
        said_by = origin(name, holder, model, *overrides)
        yield SeenLimit(holder, model, name, bucket.burst, left, full_in, None, said_by)
    for slots, taken in zip(quota.slots, levels.slots, strict=True):
        (holder, name), model, left = described(slots), _model(slots), max(0, slots.limit - taken)
        yield SeenLimit(holder, model, name, slots.limit, left, None, taken, origin(name, holder, model, *overrides))


def _budgets(quota: Quota, levels: Levels, overrides: BothOverrides) -> Iterator[SeenBudget]:
    for budget, spent in zip(quota.budgets, levels.budgets, strict=True):
        left = None if spent is None else decimal(max(0, budget.limit - spent))
        told = None if spent is None else decimal(spent)
        holder, model = described(budget)[0], _model(budget)
        said_by = origin(f"budgets.{budget.period}", holder, model, *overrides)
        yield SeenBudget(holder, model, budget.period, decimal(budget.limit), told, left, budget.ends, said_by)


def _model(limit: Limit) -> str:
    return named(limit) if described(limit)[0] == "model" else ""

"""Plans of limits: those that hold, whoever says so; set over the file's in every process, and cleared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.admin.errors import refusing
from gateway.admin.routes.answers import PlanList, SeenPlan, answer, documented
from gateway.admin.routes.asked import Name, PlanEntry
from gateway.admin.routes.visiting import Caller
from gateway.config.plans import said
from gateway.planning import Planning
from gateway.quotas import Quotas
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import NotThere

PlanName = Annotated[Name, Path()]


def routes(quotas: Quotas, planning: Planning, registry: BoundedRegistry) -> APIRouter:
    """Every path under /v1/plans."""
    router = APIRouter(prefix="/plans", tags=["plans"])

    async def tenants() -> Mapping[str, int]:
        return await registry.ask(lambda them: them.plans.tenants())

    async def told(name: str) -> Response:
        """Raises NotThere."""
        found = next((seen for seen in _seen(quotas, await tenants()) if seen.name == name), None)
        if found is None:
            raise NotThere(f"There is no plan {name}.", "plan")
        return answer(found)

    @router.get("", openapi_extra=documented(PlanList))
    async def list_plans() -> Response:
        """Those that hold, by name."""
        return answer(PlanList(list(_seen(quotas, await tenants()))))

    @router.get("/{plan}", openapi_extra=documented(SeenPlan))
    async def read_plan(plan: PlanName) -> Response:
        """One, by its name."""
        return await told(plan)

    @router.put("/{plan}", openapi_extra=documented(SeenPlan))
    async def set_plan(caller: Caller, plan: PlanName, asked: PlanEntry) -> Response:
        """What it allows from the next request on, whatever the file says."""
        with refusing(plan):
            await planning.set(plan, asked.root, by=caller.actor)
        return await told(plan)

    @router.delete("/{plan}", openapi_extra=documented(PlanList))
    async def clear_plan(caller: Caller, plan: PlanName) -> Response:
        """The file's holds again, if it has one; else nobody may be on it. Answers with those that hold then."""
        await planning.clear(plan, by=caller.actor)
        return await list_plans()

    return router


def _seen(quotas: Quotas, tenants: Mapping[str, int]) -> Iterator[SeenPlan]:
    for name, plan in sorted(quotas.plans.items()):
        set_by: Literal["admin", "file"] = "admin" if name in quotas.entries else "file"
        yield SeenPlan(name, set_by, tenants.get(name, 0), said(plan))

"""Tenants: listed, made, changed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.admin.routes.answers import TenantPage, answer, documented
from gateway.admin.routes.asked import Name, NewTenant, TenantChange
from gateway.admin.routes.pages import Page, page
from gateway.admin.routes.visiting import Caller
from gateway.planning import Planning
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import Tenant

TenantName = Annotated[Name, Path()]


def routes(registry: BoundedRegistry, planning: Planning) -> APIRouter:
    """Every path under /v1/tenants."""
    router = APIRouter(prefix="/tenants", tags=["tenants"])

    @router.get("", openapi_extra=documented(TenantPage))
    async def list_tenants(asked: Page) -> Response:
        """By name."""
        found = await registry.ask(lambda them: them.tenants(asked.after, asked.limit))
        return answer(page(found, asked.limit, "name"))

    @router.post("", status_code=201, openapi_extra=documented(Tenant, 201))
    async def create_tenant(caller: Caller, asked: NewTenant) -> Response:
        """Make one, with its terms."""
        await planning.check(asked.plan)
        tenant = Tenant(**asked.model_dump())
        return answer(await registry.ask(lambda them: them.create_tenant(tenant, by=caller.actor)), 201)

    @router.get("/{name}", openapi_extra=documented(Tenant))
    async def read_tenant(name: TenantName) -> Response:
        """One, by its name."""
        return answer(await registry.ask(lambda them: them.tenant(name)))

    @router.patch("/{name}", openapi_extra=documented(Tenant))
    async def change_tenant(caller: Caller, name: TenantName, asked: TenantChange) -> Response:
        """Give it other terms; its keys follow within seconds."""
        changes = asked.model_dump(exclude_unset=True)
        if "plan" in changes:
            await planning.check(asked.plan)
        return answer(await registry.ask(lambda them: them.change_tenant(name, by=caller.actor, **changes)))

    return router

"""Overrides of single figures of plans: those that hold, whoever says so; set in every process, and cleared."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.admin.errors import refusing
from gateway.admin.routes.answers import answer, documented
from gateway.admin.routes.asked import KeyEntry, Name, TenantEntry
from gateway.admin.routes.limit_answers import OverrideList, SeenOverride
from gateway.admin.routes.visiting import Caller
from gateway.config.plans import Holder, said
from gateway.config.quotas import KeyOverride, TenantOverride
from gateway.planning import Planning
from gateway.quotas import Quotas
from gateway.store.records import NotThere
from security.ids import LONGEST

TenantName = Annotated[Name, Path()]
KeyName = Annotated[str, Path(pattern=rf"^[\x21-\x7e]{{1,{LONGEST}}}$")]


def routes(quotas: Quotas, planning: Planning) -> APIRouter:
    """Every path under /v1/overrides."""
    router = APIRouter(prefix="/overrides", tags=["overrides"])

    @router.get("", openapi_extra=documented(OverrideList))
    async def list_overrides() -> Response:
        """Those that hold: what has ended is not among them."""
        return _all(quotas)

    _of_tenants(router, quotas, planning)
    _of_keys(router, quotas, planning)
    return router


def _of_tenants(router: APIRouter, quotas: Quotas, planning: Planning) -> None:
    @router.get("/tenants/{name}", openapi_extra=documented(SeenOverride))
    async def read_tenant_override(name: TenantName) -> Response:
        """A tenant's, by its name."""
        return _one(quotas, "tenant", name)

    @router.put("/tenants/{name}", openapi_extra=documented(SeenOverride))
    async def set_tenant_override(caller: Caller, name: TenantName, asked: TenantEntry) -> Response:
        """What holds for it from the next request on in the place of what its plan says of that."""
        with refusing(name):
            await planning.override("tenant", name, asked.root, by=caller.actor)
        return _one(quotas, "tenant", name)

    @router.delete("/tenants/{name}", openapi_extra=documented(OverrideList))
    async def clear_tenant_override(caller: Caller, name: TenantName) -> Response:
        """The file's holds again, if it has one; else the plan alone. Answers with those that hold then."""
        await planning.clear_override("tenant", name, by=caller.actor)
        return _all(quotas)


def _of_keys(router: APIRouter, quotas: Quotas, planning: Planning) -> None:
    @router.get("/keys/{key_id:path}", openapi_extra=documented(SeenOverride))
    async def read_key_override(key_id: KeyName) -> Response:
        """A key's, by its id; or that of who shows a token or comes through a mesh, by theirs."""
        return _one(quotas, "key", key_id)

    @router.put("/keys/{key_id:path}", openapi_extra=documented(SeenOverride))
    async def set_key_override(caller: Caller, key_id: KeyName, asked: KeyEntry) -> Response:
        """What it may ask for from the next request on in the place of what its tenant's plan says of each key."""
        with refusing(key_id):
            await planning.override("key", key_id, asked.root, by=caller.actor)
        return _one(quotas, "key", key_id)

    @router.delete("/keys/{key_id:path}", openapi_extra=documented(OverrideList))
    async def clear_key_override(caller: Caller, key_id: KeyName) -> Response:
        """The file's holds again, if it has one; else the plan alone. Answers with those that hold then."""
        await planning.clear_override("key", key_id, by=caller.actor)
        return _all(quotas)


def _all(quotas: Quotas) -> Response:
    """Tenants' first, by name."""
    quotas.keep(int(time.time() * 1000))
    tenants, keys = quotas.overrides
    held: list[TenantOverride | KeyOverride] = [tenants[name] for name in sorted(tenants)]
    held += [keys[name] for name in sorted(keys)]
    return answer(OverrideList([seen_override(quotas, one) for one in held]))


def _one(quotas: Quotas, holder: Holder, name: str) -> Response:
    """Raises NotThere, without the name: it may be the whole key."""
    quotas.keep(int(time.time() * 1000))
    tenants, keys = quotas.overrides
    found = tenants.get(name) if holder == "tenant" else keys.get(name)
    if found is None:
        raise NotThere(f"There is no override of that {holder}.", holder)
    return answer(seen_override(quotas, found))


def seen_override(quotas: Quotas, override: TenantOverride | KeyOverride) -> SeenOverride:
    """One that holds."""
    tenants, keys = quotas.set_overrides
    is_tenant = isinstance(override, TenantOverride)
    set_here = override.name in (tenants if is_tenant else keys)
    return SeenOverride(
        "tenant" if is_tenant else "key", override.name, "admin" if set_here else "file", said(override)
    )

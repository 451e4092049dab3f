"""Overrides of single figures of plans: those that hold, whoever says so; set in every process, and cleared."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.admin.errors import refusing
from gateway.admin.routes.answers import answer, documented
from gateway.admin.routes.asked import KeyEntry, Name, TenantEntry
from gateway.admin.routes.limit_answers import OverrideList, SeenOverride
from gateway.admin.routes.visiting import Caller
from gateway.config.plans import Holder, said
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
    return answer(OverrideList(list(seen_overrides(quotas))))


def _one(quotas: Quotas, holder: Holder, name: str) -> Response:
    """Raises NotThere, without the name: it may be the whole key."""
    found = next((seen for seen in seen_overrides(quotas) if (seen.holder, seen.name) == (holder, name)), None)
    if found is None:
        raise NotThere(f"There is no override of that {holder}.", holder)
    return answer(found)


def seen_overrides(quotas: Quotas) -> Iterator[SeenOverride]:
    """Tenants' first, by name."""
    quotas.keep(int(time.time() * 1000))
    held, set_here = quotas.overrides, quotas.set_overrides
    for name, for_tenant in sorted(held.tenants.items()):
        yield SeenOverride("tenant", name, _by(name in set_here.tenants), said(for_tenant))
    for name, for_key in sorted(held.keys.items()):
        yield SeenOverride("key", name, _by(name in set_here.keys), said(for_key))


def _by(set_here: bool) -> Literal["admin", "file"]:  # noqa: FBT001  # of this page alone
    return "admin" if set_here else "file"

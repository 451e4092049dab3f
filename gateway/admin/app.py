"""The admin listener's application: its routes, and around them what each request passes through."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastapi import APIRouter, FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway import errors
from gateway.admin import roles
from gateway.admin.entry import Entry
from gateway.admin.errors import HANDLED
from gateway.admin.guard import Guard, Guarded
from gateway.admin.routes import audit, config, keys, models, tenants
from gateway.admin.routes.answers import WhoAmI, answer, components, documented, refusals
from gateway.admin.routes.visiting import Caller
from gateway.asgi_edge import EdgeHeaders, respond
from gateway.config import Config
from gateway.edge import Edge
from gateway.store.bounded import BoundedRegistry
from gateway.version import VERSION
from router.catalog import Catalog
from security.api import SCOPES, Authenticator
from security.exposure import LOOPBACK_NAMES, HostCheck, is_loopback


@dataclass(slots=True, frozen=True)
class Shown:
    """What there is to see and to change."""

    config: Config
    catalog: Catalog
    registry: BoundedRegistry


def create_app(shown: Shown, auth: Authenticator, guard: Guard, edge: Edge) -> ASGIApp:
    """From the outside in: the head is judged, the address counted, the key checked, the body read, the route found."""
    options = shown.config.admin
    hosts = HostCheck((*LOOPBACK_NAMES, options.host)) if is_loopback(options.host) else None
    entered = Entry(_routed(shown), auth)
    guarded = Guarded(entered, guard, options.proxies, lambda wait: respond(errors.TOO_OFTEN.but(retry_after=wait)))
    return EdgeHeaders(guarded, replace(edge, hosts=hosts))


def _routed(shown: Shown) -> FastAPI:
    app = FastAPI(
        title="Snowshed, for those who run it",
        version=VERSION,
        docs_url=None,  # a page would load its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=dict(HANDLED),
    )
    router = APIRouter(prefix="/v1", responses=refusals())
    router.add_api_route("/whoami", _who_am_i, name="who_am_i", openapi_extra=documented(WhoAmI), tags=["whoami"])
    router.include_router(tenants.routes(shown.registry))
    router.include_router(keys.routes(shown.registry))
    router.include_router(models.routes(shown.config.models, shown.catalog))
    router.include_router(config.routes(shown.config))
    router.include_router(audit.routes(shown.registry))
    app.include_router(router)
    document = app.openapi()  # FastAPI keeps what it has once made
    document["components"]["schemas"] |= components()
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}]
    return app


async def _who_am_i(caller: Caller) -> Response:
    """What the key that was sent may do here."""
    principal = caller.principal
    role = roles.role(principal.scopes) or ""
    return answer(WhoAmI(principal.key_id, principal.tenant, role, sorted(principal.scopes, key=SCOPES.index)))

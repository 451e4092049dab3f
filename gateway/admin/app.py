"""The admin listener's application: its routes, and around them what each request passes through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fastapi import APIRouter, FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway import errors
from gateway.admin import roles
from gateway.admin.entry import Entry
from gateway.admin.errors import HANDLED
from gateway.admin.guard import Guard, Guarded
from gateway.admin.routes import (
    audit,
    config,
    events,
    keys,
    limits,
    models,
    overrides,
    plans,
    queues,
    replicas,
    requests,
    tenants,
    usage,
    versions,
)
from gateway.admin.routes.answers import WhoAmI, answer, components, documented, refusals
from gateway.admin.routes.visiting import Caller
from gateway.asgi_edge import EdgeHeaders, respond
from gateway.edge import Edge
from gateway.shown import Shown
from gateway.steering import Steering
from gateway.store.bounded import BoundedRegistry
from gateway.version import VERSION
from security.api import SCOPES, Authenticator
from security.exposure import LOOPBACK_NAMES, HostCheck, is_loopback


@dataclass(slots=True, frozen=True)
class Ways:
    """To everything that there is to see and to change."""

    shown: Shown
    registry: BoundedRegistry
    steering: Steering


def create_app(ways: Ways, auth: Authenticator, guard: Guard, edge: Edge) -> ASGIApp:
    """From the outside in: the head is judged, the address counted, the key checked, the body read, the route found."""
    options = ways.shown.config.admin
    hosts = HostCheck((*LOOPBACK_NAMES, options.host)) if is_loopback(options.host) else None
    entered = Entry(_routed(ways), auth)
    guarded = Guarded(entered, guard, options.proxies, lambda wait: respond(errors.TOO_OFTEN.but(retry_after=wait)))
    return EdgeHeaders(guarded, replace(edge, hosts=hosts))


def _routed(ways: Ways) -> FastAPI:
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
    for routes in _every(ways):
        router.include_router(routes)
    app.include_router(router)
    document = app.openapi()  # FastAPI keeps what it has once made
    document["components"]["schemas"] |= components()
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}]
    return app


def _every(ways: Ways) -> Iterator[APIRouter]:
    """In the order of the documentation."""
    shown, registry = ways.shown, ways.registry
    yield tenants.routes(registry, ways.steering.planning)
    yield keys.routes(registry)
    yield plans.routes(shown.quotas, ways.steering.planning, registry)
    yield overrides.routes(shown.quotas, ways.steering.planning)
    yield limits.routes(shown.quotas, shown.limiter, registry)
    yield versions.routes(shown.upstreams, ways.steering.laying)  # first: a version may be called weights
    yield models.routes(shown.upstreams, ways.steering)
    yield replicas.routes(shown.upstreams, registry)
    yield queues.routes(shown.upstreams)
    yield events.routes(shown.events)
    yield requests.routes(shown.recent)
    yield config.routes(shown, registry)
    yield usage.routes(registry)
    yield audit.routes(registry)


async def _who_am_i(caller: Caller) -> Response:
    """What the key that was sent may do here."""
    principal = caller.principal
    role = roles.role(principal.scopes) or ""
    return answer(WhoAmI(principal.key_id, principal.tenant, role, sorted(principal.scopes, key=SCOPES.index)))

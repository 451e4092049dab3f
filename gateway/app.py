"""The FastAPI application: where routes are declared and documented, and what is not hot is answered."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway import errors
from gateway.asgi_edge import EdgeHeaders, respond, told
from gateway.lifespan import Lifespan
from gateway.routes import openai
from gateway.version import VERSION
from gateway.wiring import Gateway
from router.api import NoSuchModel, NotPermitted
from security.api import Forbidden, StoreAway, Unauthenticated


def create_app(gateway: Gateway) -> FastAPI:
    """The application over a gateway's objects; its lifespan starts and stops them."""
    app = FastAPI(
        title="Snowshed",
        version=VERSION,
        summary="An OpenAI-compatible gateway in front of LLM servers.",
        redirect_slashes=False,
        exception_handlers={HTTPException: _known, RequestValidationError: _invalid, **dict.fromkeys(_TOLD, told)},
    )
    app.include_router(openai.routes(gateway.edge, gateway.auth, gateway.catalog))
    app.openapi()["components"] = {"schemas": openai.components()}  # FastAPI keeps the document it has once made
    app.add_middleware(EdgeHeaders, edge=gateway.edge)
    app.add_middleware(Lifespan, gateway=gateway)
    return app


async def _known(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for nothing else
    allowed = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return respond(errors.for_status(error.status_code), allowed)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # registered for nothing else
    place = error.errors()[0]["loc"][1:]  # without "query", "path", …; what was given there is not repeated
    return respond(errors.INVALID_PARAMETER.but(param=".".join(map(str, place)) or None))


_TOLD = (Unauthenticated, Forbidden, StoreAway, NoSuchModel, NotPermitted)
"""What other rooms raise in endpoints, told as everywhere."""

"""How the admin listener tells what went wrong: everything in OpenAI's envelope, mistakes with their field."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from engines.api import EngineError
from gateway import errors
from gateway.asgi_edge import respond, told
from gateway.config import ConfigError
from gateway.config.entries import Unfit
from gateway.store.records import Conflict, NotThere, RegistryError
from security.api import Forbidden, StoreAway

METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
LONGEST_PARAM = 128
_PLAIN: Final = {"extra_forbidden": "there is no such field", "missing": "is required"}
"""pydantic's words where they speak of Python."""


async def _by_the_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for nothing else
    allowed = {"allow": ", ".join(_methods(request))} if error.status_code == errors.METHOD_NOT_ALLOWED.status else {}
    problem = errors.for_status(error.status_code)
    return respond(errors.NOT_JSON if problem is errors.MALFORMED_HTTP else problem, allowed)  # a body, not a head


def _methods(request: Request) -> list[str]:
    """All that its path takes: the framework names those of one route alone."""
    ways = [(method, {**request.scope, "method": method}) for method in METHODS]
    return [
        method for method, scope in ways if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    ]


async def _invalid(_: Request, error: Exception) -> Response:
    """The first mistake; its words are about what is wanted, and repeat nothing of what was given."""
    assert isinstance(error, RequestValidationError)  # registered for nothing else
    found = error.errors()[0]
    if found["type"] == "json_invalid":
        return respond(errors.NOT_JSON)
    param = named(found["loc"][1:])
    wanted = _PLAIN.get(found["type"], found["msg"].removeprefix("Value error, "))
    return respond(errors.UNSUITABLE.but(param=param, message=f"{param or 'The body'}: {wanted}."))


def named(place: Iterable[str | int]) -> str | None:
    """A field, for `param`: printable and short: of a field that there is not, the name is the caller's."""
    name = ".".join(map(str, place))[:LONGEST_PARAM]
    return (name if name.isprintable() else ascii(name)[1:-1]) or None


async def _registry(_: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryError)  # registered for nothing else
    kinds = {NotThere: errors.NOT_THERE, Conflict: errors.CONFLICT}
    return respond(kinds.get(type(error), errors.UNSUITABLE).but(message=str(error), param=named([error.field])))


def unchanged(error: ConfigError | EngineError) -> Conflict:
    """What is to be raised in its place: it stands against a change of models."""
    told = "; ".join(line.strip() for line in str(error).splitlines()).replace(":; ", ": ")  # below a head
    return Conflict(f"Nothing is changed: {told.rstrip('.')}.")


@contextmanager
def refusing(label: str) -> Iterator[None]:
    """A mistake in what was given, as that of a field; what stands against it, as a conflict."""
    try:
        yield
    except Unfit as error:
        path, words = next((found for found in error.found if found[0][0] == label), error.found[0])
        said = words if words.endswith("?") else f"{words}."
        if path[0] == label:
            field = named(path[1:]) or ""
            raise RegistryError(f"{field or 'The body'}: {said}", field) from None
        field = named(path) or ""
        raise Conflict(f"Nothing is changed: {field}: {said}", field) from None
    except (ConfigError, EngineError) as error:
        raise unchanged(error) from None


async def _broke(_: Request, _error: Exception) -> Response:
    """A bug, which the server logs; it then cuts the connection."""
    return respond(errors.INTERNAL, {"connection": "close"})


async def _away(_: Request, _error: Exception) -> Response:
    """Of the registry: keys were checked before."""
    return respond(errors.STORE_AWAY)


HANDLED: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    HTTPException: _by_the_framework,
    RequestValidationError: _invalid,
    RegistryError: _registry,
    StoreAway: _away,
    Forbidden: told,
    Exception: _broke,
}
"""For FastAPI's `exception_handlers`."""

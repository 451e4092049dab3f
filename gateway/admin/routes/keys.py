"""Keys: listed, made, revoked, rotated; by nobody who has less than they have."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from gateway.admin import roles
from gateway.admin.entry import Visitor
from gateway.admin.routes.answers import KeyPage, MadeKey, answer, documented
from gateway.admin.routes.asked import NewKey, Rotation
from gateway.admin.routes.pages import PageAsked, page
from gateway.admin.routes.visiting import Caller
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import Key

KeyId = Annotated[str, Path(pattern="^[0-9a-f]{12}$")]
"""Anything else is refused without being repeated: it may be the whole key."""


class KeysAsked(PageAsked):
    """Of one tenant, or of all."""

    tenant: str | None = Field(None, max_length=64, description="Only those of this tenant.")


def routes(registry: BoundedRegistry) -> APIRouter:
    """Every path under /v1/keys."""
    router = APIRouter(prefix="/keys", tags=["keys"])

    @router.get("", openapi_extra=documented(KeyPage))
    async def list_keys(asked: Annotated[KeysAsked, Query()]) -> Response:
        """By id, without their secrets."""
        found = await registry.ask(lambda them: them.keys(asked.tenant, asked.after, asked.limit))
        return answer(page(found, asked.limit, "id"))

    @router.post("", status_code=201, openapi_extra=documented(MadeKey, 201))
    async def create_key(caller: Caller, asked: NewKey) -> Response:
        """Make one. This answer holds it, and no other one ever will."""
        terms = asked.model_dump()
        roles.require(caller.principal.scopes, roles.for_key(asked.scopes))
        key, new = await registry.ask(lambda them: them.create_key(**terms, by=caller.actor))
        return answer(_made(key, new.text), 201)

    @router.get("/{key_id}", openapi_extra=documented(Key))
    async def read_key(key_id: KeyId) -> Response:
        """One, by its id."""
        return answer(await registry.ask(lambda them: them.key(key_id)))

    @router.post("/{key_id}/revoke", openapi_extra=documented(Key))
    async def revoke_key(caller: Caller, key_id: KeyId) -> Response:
        """End it, for good: it is refused everywhere within five seconds."""
        await _check_ruler(registry, caller, key_id)
        return answer(await registry.ask(lambda them: them.revoke_key(key_id, by=caller.actor)))

    @router.post("/{key_id}/rotate", status_code=201, openapi_extra=documented(MadeKey, 201))
    async def rotate_key(caller: Caller, key_id: KeyId, asked: Rotation) -> Response:
        """Make one with the same rights in its place; the old one ends after the overlap."""
        await _check_ruler(registry, caller, key_id)
        key, new = await registry.ask(lambda them: them.rotate_key(key_id, asked.overlap, by=caller.actor))
        return answer(_made(key, new.text), 201)

    return router


async def _check_ruler(registry: BoundedRegistry, caller: Visitor, key_id: str) -> None:
    """Raises Forbidden for a key that has more than the caller may give; a key's scopes never change."""
    key = await registry.ask(lambda them: them.key(key_id))
    roles.require(caller.principal.scopes, roles.for_key(key.scopes))


def _made(key: Key, text: str) -> MadeKey:
    return MadeKey(**{name: getattr(key, name) for name in Key.__struct_fields__}, key=text)

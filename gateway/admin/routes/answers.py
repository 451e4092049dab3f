"""What the admin listener answers with: structs, as JSON and in its documentation."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

from gateway.store.records import Entry, Key, Tenant

_REFERENCE: Final = "#/components/schemas/{name}"


class MadeKey(Key, frozen=True, kw_only=True):
    """The only answer with a secret, which can't be had again."""

    key: str


class TenantPage(msgspec.Struct):
    """By name."""

    data: list[Tenant]
    next: str | None


class KeyPage(msgspec.Struct):
    """By id."""

    data: list[Key]
    next: str | None


class EntryPage(msgspec.Struct):
    """The newest last."""

    data: list[Entry]
    next: int | None


class WhoAmI(msgspec.Struct):
    """What the key that was sent may do here."""

    key_id: str
    tenant: str
    role: str
    scopes: list[str]


class SeenModel(msgspec.Struct):
    """A version of a model that callers may name, and the replicas that it runs on."""

    name: str
    version: str
    upstream: str
    engine: str
    replicas: list[str]


class SeenReplica(msgspec.Struct):
    """`reason`: why the last probe did not find it ready. Calls and failures, by their kind, are since the start."""

    name: str
    models: list[str]
    ready: bool
    reason: str
    in_flight: int
    calls: int
    failures: dict[str, int]


class ModelList(msgspec.Struct):
    """In the order of the configuration."""

    data: list[SeenModel]


class ReplicaList(msgspec.Struct):
    """In the order of the configuration."""

    data: list[SeenReplica]


class ErrorDetail(msgspec.Struct):
    """`param`: the field that is meant."""

    message: str
    type: str
    param: str | None
    code: str


class Error(msgspec.Struct):
    """As OpenAI tells it."""

    error: ErrorDetail


_ANSWERS: Final = (Tenant, TenantPage, Key, KeyPage, MadeKey, EntryPage, WhoAmI, ModelList, ReplicaList, Error)


def answer(value: object, status: int = 200) -> Response:
    """Nothing between here and who asked may keep it."""
    return Response(msgspec.json.encode(value), status, {"cache-control": "no-store"}, "application/json")


def documented(kind: type[msgspec.Struct] | None, status: int = 200) -> dict[str, Any]:
    """For a route's `openapi_extra`; None: some object."""
    return {"responses": {str(status): _response("As asked", _schema(kind) if kind else {"type": "object"})}}


def refusals() -> dict[int | str, dict[str, Any]]:
    """For a router's `responses`."""
    told = _response("As OpenAI tells it", _schema(Error))
    return {"4XX": told, "5XX": told}


def components() -> dict[str, Any]:
    """The schemas that the documentation refers to, by name."""
    return msgspec.json.schema_components(_ANSWERS, ref_template=_REFERENCE)[1]


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(name=kind.__name__)}


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}

"""What the admin listener answers with: structs, as JSON and in its documentation."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from starlette.responses import Response

from gateway.accounts import Outcome
from gateway.admin.routes.limit_answers import OverrideList, SeenLimits, SeenOverride
from gateway.admin.routes.queue_answers import QueueList, Used
from gateway.admission_metrics import Limit
from gateway.store.records import Entry, Key, Tenant
from gateway.store.spending import Seen, Sum
from router.breaker import State

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
    """A version of a model that callers may name. `set_by`: who says what it is, as `weight_from` what it weighs."""

    name: str
    version: str
    set_by: Literal["admin", "file"]
    weight: float
    weight_from: Literal["admin", "file"]
    drained: bool
    upstream: str
    engine: str
    replicas: list[str]


class SeenReplica(msgspec.Struct):
    """`reason`: why it is not ready. Calls and failures, by their kind, are since the start.

    `asked`: whether it gets work; where too few are ready, others do all the same.
    `weight`: the share of a healthy replica's work that it may have now. `tokens`: of the work in flight, estimated.
    `limits`: what it has in flight of what it may have, by that weight.
    """

    name: str
    models: list[str]
    version: str
    ready: bool
    reason: str
    asked: bool
    state: State
    drained: bool
    weight: float
    in_flight: int
    tokens: int
    limits: dict[Limit, Used]
    calls: int
    failures: dict[str, int]


class ModelList(msgspec.Struct):
    """In the order of the configuration."""

    data: list[SeenModel]


class ReplicaList(msgspec.Struct):
    """In the order of the configuration."""

    data: list[SeenReplica]


class SeenPlan(msgspec.Struct):
    """A plan of limits that holds. `tenants`: how many are on it. `plan`: what was said of it, as `PUT` takes it."""

    name: str
    set_by: Literal["admin", "file"]
    tenants: int
    plan: dict[str, Any]


class PlanList(msgspec.Struct):
    """By name."""

    data: list[SeenPlan]


class Reloaded(msgspec.Struct):
    """What a file that was read again has changed: versions, and routes as `routing of chat`.

    `needs_restart`: settings in which it differs from what runs, and which no reload changes. `generation`: the number
    of the models and routes that hold now.
    """

    added: list[str]
    removed: list[str]
    changed: list[str]
    needs_restart: list[str]
    generation: int


class SeenEvent(msgspec.Struct):
    """A replica came from one state into another. `at` in Unix seconds."""

    number: int
    at: float
    replica: str
    before: State
    after: State
    reason: str


class EventPage(msgspec.Struct):
    """The newest last."""

    data: list[SeenEvent]
    next: int | None


class FailedAttempt(msgspec.Struct):
    """A replica that was asked in vain."""

    replica: str
    reason: str


class Explanation(msgspec.Struct):
    """Why a request went where it went. `began` in Unix seconds; null and "" stand for what did not happen.

    `why`: the version was the `only` one, or chosen by `weights`, by `rule N` or by a `pin`. `fallback`: the trouble in
    which another model was asked in the place of `model`. `reason`: of those for `code`, where there are several.
    `body_ms`, `first_token_ms`: since the headers came in. `queue_ms`: waiting for places.
    """

    id: str
    kind: str
    tenant: str
    key: str
    of_class: str = msgspec.field(name="class")
    began: float
    model: str
    version: str
    why: str
    fallback: str
    replica: str
    attempts: int
    failed: list[FailedAttempt]
    outcome: Outcome
    status: int
    code: str
    reason: str
    client_gone: bool
    stream: bool
    body_ms: float | None
    queue_ms: float
    first_token_ms: float | None
    duration_ms: float
    prompt_tokens: int
    completion_tokens: int


class SumPage(msgspec.Struct):
    """In the order of what they are parted by."""

    data: list[Sum]
    next: str | None


class SpentPage(msgspec.Struct):
    """The newest last."""

    data: list[Seen]
    next: str | None


class ErrorDetail(msgspec.Struct):
    """`param`: the field that is meant."""

    message: str
    type: str
    param: str | None
    code: str


class Error(msgspec.Struct):
    """As OpenAI tells it."""

    error: ErrorDetail


_ANSWERS: Final = (
    Tenant, TenantPage, Key, KeyPage, MadeKey, EntryPage, WhoAmI, ModelList, ReplicaList, QueueList, EventPage,
    Explanation, Reloaded, SumPage, SpentPage, PlanList, SeenPlan, SeenLimits,
    SeenOverride, OverrideList, Error,
)  # fmt: skip


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

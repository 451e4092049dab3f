"""OpenAI's paths. Under uvicorn the three POSTs never come here: the front door takes them at the headers."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.asgi import PipelineResponse
from gateway.edge import Edge
from gateway.schema import Chat, Completion, Embedding
from router.catalog import Catalog
from router.model import Model
from security.api import Authenticator, Principal

_REFERENCE = "#/components/schemas/{name}"
_ERROR = {
    "description": "OpenAI's error envelope",
    "content": {"application/json": {"example": {"error": {"message": "…", "type": "…", "param": None, "code": "…"}}}},
}


def routes(edge: Edge, auth: Authenticator, catalog: Catalog) -> APIRouter:
    """Every path under /v1."""

    async def asker(request: Request) -> Principal:
        headers = dict(request.headers.raw)
        principal = auth.recall(headers) or await auth.learn(headers)
        principal.require("inference")
        return principal

    router = APIRouter(prefix="/v1", tags=["OpenAI"], responses={"4XX": _ERROR, "5XX": _ERROR})

    @router.post("/chat/completions", openapi_extra=_documented(Chat, streams=True))
    async def create_chat_completion() -> Response:
        """Answer a conversation; a stream of server-sent events with `stream: true`."""
        return PipelineResponse(edge, "chat")

    @router.post("/completions", openapi_extra=_documented(Completion, streams=True))
    async def create_completion() -> Response:
        """Continue a text."""
        return PipelineResponse(edge, "completion")

    @router.post("/embeddings", openapi_extra=_documented(Embedding, streams=False))
    async def create_embedding() -> Response:
        """Turn texts into vectors."""
        return PipelineResponse(edge, "embedding")

    @router.get("/models")
    async def list_models(request: Request) -> Response:
        """The models that the caller may name."""
        named = catalog.visible(await asker(request))
        return _json({"object": "list", "data": [_shown(name, model) for name, model in named]})

    @router.get("/models/{model:path}")
    async def retrieve_model(request: Request, model: str) -> Response:
        """One model by its name, which may hold slashes."""
        return _json(_shown(model, catalog.find(model, await asker(request))))

    return router


def _shown(name: str, model: Model) -> dict[str, object]:
    return {"id": name, "object": "model", "created": model.created, "owned_by": "snowshed"}


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _documented(body: type[msgspec.Struct], *, streams: bool) -> dict[str, Any]:
    """The request's schema straight from the types that check it."""
    content: dict[str, Any] = {"application/json": {}}
    if streams:
        content["text/event-stream"] = {}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(name=body.__name__)}}},
        },
        "responses": {"200": {"description": "As OpenAI answers", "content": content}},
    }


def components() -> dict[str, Any]:
    """The schemas that the documentation of the paths refers to, by name."""
    return msgspec.json.schema_components((Chat, Completion, Embedding), ref_template=_REFERENCE)[1]

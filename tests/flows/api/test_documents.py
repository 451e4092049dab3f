"""The OpenAPI document that the gateway serves: whole, valid, and true about the requests it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI

from gateway.schema import Chat, Completion, Embedding
from tests.support.gateway import configuration, running_gateway

POSTS = {"/v1/chat/completions": Chat, "/v1/completions": Completion, "/v1/embeddings": Embedding}


@pytest.fixture(scope="module")
def document() -> Iterator[Any]:
    with running_gateway(configuration()) as gateway, gateway.client() as client:
        yield client.get("/openapi.json").json()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        yield from (found for inner in value.values() for found in references(inner))
        mapping = (
            value.get("discriminator", {}).get("mapping", {}) if isinstance(value.get("discriminator"), dict) else {}
        )
        yield from mapping.values()
    if isinstance(value, list):
        yield from (found for inner in value for found in references(inner))


def resolved(document: Any, reference: str) -> Any:
    root, *path = reference.split("/")
    assert root == "#", reference
    found = document
    for step in path:
        found = found[step]
    return found


def test_it_is_an_openapi_document_whose_references_resolve(document: Any) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1")
    found = set(references(document))
    assert found
    assert all(isinstance(resolved(document, reference), dict) for reference in found)
    assert not [key for key in _keys(document) if key == "$defs"]


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    if isinstance(value, list):
        yield from (key for inner in value for key in _keys(inner))


@pytest.mark.parametrize("path", POSTS)
def test_each_request_is_described_by_the_type_that_checks_it(document: Any, path: str) -> None:
    operation = document["paths"][path]["post"]
    schema = resolved(document, operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])
    assert set(schema["properties"]) == set(POSTS[path].__struct_fields__)
    assert "model" in schema["required"]
    streams = path != "/v1/embeddings"
    assert ("text/event-stream" in operation["responses"]["200"]["content"]) is streams
    assert {"4XX", "5XX"} <= set(operation["responses"])
    assert operation["summary"]
    assert operation["description"]


def test_it_describes_these_paths_and_no_others(document: Any) -> None:
    assert set(document["paths"]) == {*POSTS, "/v1/models", "/v1/models/{model}"}
    operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(operations)) == len(operations) == 5


def test_the_pages_over_it_are_there() -> None:
    """They load their script from a public address, as FastAPI's do; the document itself needs nothing."""
    with running_gateway(configuration()) as gateway, gateway.client() as client:
        for path in ("/docs", "/redoc"):
            page = client.get(path)
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "/openapi.json" in page.text
            assert page.headers["x-request-id"]

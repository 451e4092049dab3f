"""P25: whatever goes wrong at whichever path, the answer is OpenAI's envelope with our request id."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from gateway.app import create_app
from gateway.config import check
from gateway.wiring import build
from tests.support.envelopes import SECRET, enveloped
from tests.support.gateway import ROOT, Adapter, RunningGateway, configuration, running_gateway

CHAT = {"model": "mock", "messages": [{"role": "user", "content": SECRET}]}
POSTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "mock", "prompt": SECRET},
    "/v1/embeddings": {"model": "mock", "input": SECRET},
}


@pytest.fixture(scope="module", params=["front_door", "asgi"])
def gateway(request: pytest.FixtureRequest) -> Iterator[RunningGateway]:
    adapter: Adapter = request.param
    with running_gateway(configuration(limits={"body": 4096}), adapter) as running:
        yield running


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nothing", "/v1/chat/completions/", f"/{SECRET}?{SECRET}=1", "/v1//models"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
def test_p25_nothing_there(gateway: RunningGateway, method: str, path: str) -> None:
    """P25: FastAPI's own 404."""
    with gateway.client() as client:
        enveloped(client.request(method, path), 404, "unknown_url")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND"])
@pytest.mark.parametrize("path", POSTS)
def test_p25_wrong_method(gateway: RunningGateway, method: str, path: str) -> None:
    """P25: FastAPI's own 405, with what is allowed, and no CORS."""
    with gateway.client() as client:
        answer = client.request(method, path, headers={"origin": "http://elsewhere.example"})
    enveloped(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["POST", "DELETE", "HEAD"])
@pytest.mark.parametrize("path", ["/v1/models", f"/v1/models/{SECRET}"])
def test_p25_models_are_only_read(gateway: RunningGateway, method: str, path: str) -> None:
    """P25: wrong method on the paths that are read."""
    with gateway.client() as client:
        enveloped(client.request(method, path), 405, "method_not_allowed")


@pytest.mark.parametrize("path", POSTS)
def test_p25_a_model_that_is_not_there(gateway: RunningGateway, path: str) -> None:
    """P25: the code that SDKs and people look for, and the name is not repeated."""
    with gateway.client() as client:
        enveloped(client.post(path, json={**BODIES[path], "model": SECRET}), 404, "model_not_found", "model")
        enveloped(client.get(f"/v1/models/{SECRET}/a%20b"), 404, "model_not_found", "model")


@pytest.mark.parametrize("path", POSTS)
def test_p25_what_the_head_decides(gateway: RunningGateway, path: str) -> None:
    """P25: content type, label, timeout, expectation, host, size; each with its code."""
    body = json.dumps(BODIES[path])
    plain = {"content-type": "application/json"}
    with gateway.client() as client:
        enveloped(client.post(path, content=body), 415, "unsupported_content_type")
        enveloped(
            client.post(path, content=body, headers={"content-type": "text/plain"}), 415, "unsupported_content_type"
        )
        label = {**plain, "x-client-request-id": f"{SECRET} with spaces"}
        enveloped(client.post(path, content=body, headers=label), 400, "invalid_value", "x-client-request-id")
        timeout = {**plain, "x-request-timeout-ms": SECRET}
        enveloped(client.post(path, content=body, headers=timeout), 400, "invalid_value", "x-request-timeout-ms")
        host = {**plain, "host": f"{SECRET}.example"}
        enveloped(client.post(path, content=body, headers=host), 421, "unknown_host")
        enveloped(client.post(path, content="[" * 5000, headers=plain), 413, "request_too_large")
        enveloped(client.post(path, content=b"{", headers=plain), 400, "invalid_json")
    gateway.wait_idle()


def test_p25_what_fastapi_finds_and_what_breaks_in_a_route(caplog: pytest.LogCaptureFixture) -> None:
    """P25: its 422 becomes a 400 with the parameter's name; a crash becomes a 500 that tells nothing, with its id."""
    gateway = build(check(configuration(), "test"), ROOT / ".cache", 2)
    app = create_app(gateway)

    @app.get("/checked")
    def checked(limit: int) -> int:
        return limit

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError(SECRET)

    async def ask() -> None:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            enveloped(await client.get(f"/checked?limit={SECRET}"), 400, "invalid_value", "limit")
            enveloped(await client.get("/checked"), 400, "invalid_value", "limit")
            answer = await client.get("/broken")
            enveloped(answer, 500, "internal_error")
            (logged,) = [vars(record) for record in caplog.records if record.levelno == logging.ERROR]
            assert logged["request"] == answer.headers["x-request-id"]
            assert "RuntimeError" in logged["exception"]
            assert SECRET not in str(logged)

    asyncio.run(ask())

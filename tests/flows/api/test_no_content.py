"""P32: what callers write and models answer is in no log, no metric and no other caller's error."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support import plain
from tests.support.fleet import SpawnedReplica, spawn_fleet
from tests.support.gateway import SpawnedGateway, configuration, spawned_gateway
from tests.support.waiting import PATIENCE, wait_until
from tests.support.written import written

CANARY = "snowblind-7f3a"
ANSWER = "quick brown fox"
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
FAULTS = (
    "", "reset", "reset_after", "accept_silent", "headers_silent", "stall", "eof_clean", "eof_close", "cut",
    "malformed", "error_event", "error_body_200", "wrong_length", "gzip", "no_usage", "status,status=400",
    "status,status=401", "status,status=429", "status,status=500",
)  # fmt: skip
HEADERS = {
    "authorization": f"Bearer {CANARY}", "cookie": CANARY, "x-unknown": CANARY, "user-agent": CANARY,
    "x-request-id": f"{CANARY} is no label", "referer": f"http://{CANARY}/",
}  # fmt: skip


@dataclass
class Loud:
    """A gateway that logs all it can."""

    gateway: SpawnedGateway
    upstream: SpawnedReplica
    client: httpx2.Client

    def post(self, body: Any, path: str = PATHS[0], headers: dict[str, str] | None = None) -> httpx2.Response:
        return self.client.post(f"{path}?{CANARY}={CANARY}", json=body, headers=HEADERS | (headers or {}))


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loud]:
    with spawn_fleet(settings="tokens=12") as fleet:
        models = [
            {"name": "mock", "engine": "openai", "replicas": [{"url": fleet.urls[0]}]},
            {"name": "broken", "engine": "broken"},
        ]
        tree = configuration(models=models, timeouts={"first_token": 0.3, "inter_token": 0.3}, limits={"body": 65_536})
        with (
            spawned_gateway(tree, tmp_path_factory.mktemp("loud"), module="tests.support.loud_gateway") as gateway,
            plain.client(base_url=gateway.url, timeout=PATIENCE) as client,
        ):
            yield Loud(gateway, fleet.replicas[0], client)


def chat(directive: str = "", **members: Any) -> dict[str, Any]:
    call = {"id": CANARY, "type": "function", "function": {"name": CANARY, "arguments": f'{{"a":"{CANARY}"}}'}}
    messages = [
        {"role": "system", "content": CANARY},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": CANARY, "content": CANARY},
        {"role": "user", "content": f"{CANARY} @@{directive}@@" if directive else CANARY},
    ]
    tools = [{"type": "function", "function": {"name": CANARY, "description": CANARY}}]
    return {
        "model": "mock",
        "messages": messages,
        "tools": tools,
        "user": CANARY,
        "metadata": {CANARY: CANARY},
    } | members


def faults(loud: Loud) -> None:
    for fault in FAULTS:
        for stream in (False, True):
            answer = loud.post(chat(f"fault={fault},after=3", stream=stream))
            told = answer.text if answer.status_code != 200 else answer.text.rpartition('data: {"error"')[2]
            assert CANARY not in told, (fault, told)


def mistakes(loud: Loud) -> None:
    for body in (
        chat(model=CANARY), chat(temperature=CANARY), chat(messages=[{"role": CANARY}]), chat(messages=CANARY),
        chat(tool_choice={"type": "function", "function": {"name": f"{CANARY}-2"}}), chat(other=CANARY * 10_000),
        [CANARY], CANARY,
    ):  # fmt: skip
        answer = loud.post(body)
        assert 400 <= answer.status_code < 500
        assert CANARY not in answer.text
    for path in PATHS:
        for content in (b'{"model":"' + CANARY.encode(), b"\xff" + CANARY.encode(), b"[" * 5000 + CANARY.encode()):
            answer = loud.client.post(path, content=content, headers={"content-type": "application/json"})
            assert answer.status_code == 400
            assert CANARY not in answer.text
    for header in ("x-client-request-id", "x-request-timeout-ms", "expect", "host", "content-type"):
        answer = loud.post(chat(), headers={header: f"{CANARY} {CANARY}"})
        assert 400 <= answer.status_code < 500, header
        assert CANARY not in answer.text


def elsewhere(loud: Loud) -> None:
    for method, path in (("GET", f"/{CANARY}"), ("PUT", f"/v1/models/{CANARY}"), ("GET", f"/v1/models/{CANARY}")):
        answer = loud.client.request(method, f"{path}?{CANARY}=1", headers=HEADERS)
        assert answer.status_code in (404, 405)
        assert CANARY not in answer.text
    for request in (
        f"GET /{CANARY} HTTP/1.1\r\n{CANARY}\r\n\r\n",
        f"{CANARY}\r\n\r\n",
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {CANARY * 5000}\r\n\r\n",
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {CANARY}\r\n\r\n{CANARY}",
    ):
        assert CANARY not in raw(loud, request)


def raw(loud: Loud, request: str) -> str:
    where = urlsplit(loud.gateway.url)
    with socket.create_connection((where.hostname, where.port), timeout=PATIENCE) as client:
        client.sendall(request.encode())
        got = b""
        while data := client.recv(65_536):
            got += data
    return got.decode()


def leaving(loud: Loud) -> None:
    body = chat("tokens=1000,delay_ms=5", stream=True, max_tokens=1000)
    with loud.client.stream("POST", PATHS[0], json=body, headers=HEADERS) as answer:
        next(answer.iter_raw())
    with pytest.raises(httpx2.ReadTimeout):
        loud.client.post(PATHS[0], json=chat("service_ms=20000"), headers=HEADERS, timeout=0.3)


def bugs(loud: Loud) -> None:
    answer = loud.post(chat(model="broken"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert CANARY not in answer.text
    stream = loud.post(chat(model="broken", stream=True))
    assert stream.text.count('"internal_error"') == 1
    assert CANARY not in stream.text
    named = f'"request":"{answer.headers["x-request-id"]}"'
    wait_until(loud.gateway.errors.read_text, lambda told: named in told)  # by a thread, after the answer


def test_p32_nothing_that_was_said_is_written_down(loud: Loud) -> None:
    """P32: prompt, answer, tool arguments, user, names, headers, path and query, over every way a request can fail."""
    ways = (faults, mistakes, elsewhere, leaving, bugs)
    for way in ways:
        way(loud)
    metrics = plain.get(f"{loud.gateway.ops_url}/metrics").text
    ready = plain.get(f"{loud.gateway.ops_url}/readyz?{CANARY}").text
    loud.gateway.terminate()
    assert loud.gateway.wait(PATIENCE) == 0
    lines = written(loud.gateway.log)
    assert len(lines) > 2 * len(FAULTS)
    assert {"success", "failed", "ignored"} == {line["outcome"] for line in lines}
    assert "internal_error" in {line["code"] for line in lines}
    files = {path.name: path.read_text() for path in (loud.gateway.log, loud.gateway.errors)}
    for name, text in (files | {"metrics": metrics, "ready": ready}).items():
        assert text, name
        for word in (CANARY, CANARY.upper(), ANSWER, CANARY.encode().hex()):
            assert word not in text, (name, _around(text, word))


def _around(text: str, word: str) -> str:
    at = text.index(word)
    return text[max(0, at - 200) : at + 100]

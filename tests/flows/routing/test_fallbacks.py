"""Another model answers when one can't, if its operator has it so; callers are told, and get no more than is theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import plain
from tests.support.databases import sqlite
from tests.support.gateway import RunningGateway, configuration, metric, running_gateway
from tests.support.stored import KeyBook

SCRIPTS: dict[str, dict[str, Any]] = {
    "away": {"failure": "unreachable"},
    "broken": {"failure": "failed"},
    "busy": {"failure": "overloaded"},
    "breaks": {"failure": "interrupted", "text": "one two three four", "after": 2},
    "small": {"text": "by small"},
}
ROUTES: dict[str, list[dict[str, Any]]] = {
    "outage": [{"model": "away", "fallback": {"models": ["small"], "when": ["outage"]}}],
    "chain": [{"model": "busy", "fallback": {"models": ["away", "broken", "small"], "when": ["overload"]}}],
    "none left": [{"model": "busy", "fallback": {"models": ["away", "broken"]}}],
    "not meant": [{"model": "busy", "fallback": {"models": ["small"], "when": ["outage"]}}],
    "too late": [{"model": "breaks", "fallback": {"models": ["small"]}}],
    "mistake": [{"model": "small", "fallback": {"models": ["away"]}}],
}


def tree(route: str, **sections: Any) -> dict[str, Any]:
    models = [{"name": name, "engine": "scripted", "replicas": [script]} for name, script in SCRIPTS.items()]
    return configuration(models=models, routing=ROUTES[route], **sections)


def ask(gateway: RunningGateway, model: str, key: str = "none", **members: Any) -> httpx2.Response:
    wanted = {"model": model, "messages": [{"role": "user", "content": "Hi"}]} | members
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=wanted, headers={"authorization": f"Bearer {key}"})


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[RunningGateway]:
    with running_gateway(tree(request.param)) as made:
        yield made
        made.wait_idle()


@pytest.mark.parametrize(
    ("gateway", "asked", "trouble"),
    [("outage", "away", "outage"), ("chain", "busy", "overload")],
    indirect=["gateway"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_another_model_answers_and_says_so(gateway: RunningGateway, asked: str, trouble: str, stream: bool) -> None:
    answer = ask(gateway, asked, stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "small@1"
    assert answer.headers["x-gateway-degraded"] == f"model=small;reason={trouble}"
    assert "small" in answer.text
    gateway.wait_until(
        lambda: (
            metric(
                plain.get(f"{gateway.ops_url}/metrics").text,
                "snowshed_fallbacks_total",
                reason=trouble,
            )
            == 1
        )
    )


@pytest.mark.parametrize(
    ("gateway", "asked", "status", "code"),
    [
        ("none left", "busy", 502, "upstream_error"),
        ("not meant", "busy", 503, "upstream_overloaded"),
    ],
    indirect=["gateway"],
)
def test_where_none_can_or_none_is_meant_to_the_failure_is_told(
    gateway: RunningGateway, asked: str, status: int, code: str
) -> None:
    answer = ask(gateway, asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("gateway", ["too late"], indirect=True)
def test_after_the_first_content_no_other_model_is_asked(gateway: RunningGateway) -> None:
    answer = ask(gateway, "breaks", stream=True)
    assert answer.headers["x-model-version"] == "breaks@1"
    assert "x-gateway-degraded" not in answer.headers
    assert json.loads(answer.text.strip().splitlines()[-1].removeprefix("data: "))["error"]["code"] == (
        "upstream_interrupted"
    )


@pytest.mark.parametrize("gateway", ["mistake"], indirect=True)
def test_what_the_caller_did_wrong_is_told_by_the_model_that_was_asked(gateway: RunningGateway) -> None:
    answer = ask(gateway, "small", n=1000)
    assert answer.status_code == 400
    assert "x-gateway-degraded" not in answer.headers


def test_a_model_that_the_key_does_not_allow_is_passed_over(tmp_path: Path) -> None:
    book = KeyBook(sqlite(tmp_path))
    book.tenant()
    all_models, busy_only = book.key(), book.key(models=["busy"])
    auth = {"kind": "keys", "sqlite": book.url.removeprefix("sqlite:///")}
    with running_gateway(tree("chain", auth=auth, admin={"port": 0})) as gateway:
        assert ask(gateway, "busy", all_models.text).headers["x-model-version"] == "small@1"
        refused = ask(gateway, "busy", busy_only.text)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "upstream_overloaded")
        assert refused.headers["x-model-version"] == "busy@1"

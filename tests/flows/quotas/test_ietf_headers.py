"""Limits are told in the IETF's draft headers, where that is wanted, on answers and on refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from tests.support.asking import body
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import Adapter, configuration, running_gateway
from tests.support.limited import plan
from tests.support.structured_fields import Item, parsed

BOUND = plan(
    key={"requests_per_minute": 2, "concurrent_requests": 5}, models=[{"model": "mock", "tokens_per_day": 9000}]
)


@contextmanager
def caller(fleet: SpawnedFleet, adapter: Adapter, **quotas: Any) -> Iterator[httpx2.Client]:
    tree = configuration(fleet.urls, quotas={"plans": [BOUND], **quotas})
    with running_gateway(tree, adapter) as gateway, gateway.client() as http:
        yield http


def asked(http: httpx2.Client, **members: Any) -> httpx2.Response:
    return http.post("/v1/chat/completions", json=body(max_tokens=50, **members))


@pytest.mark.parametrize("adapter", ["front_door", "asgi"])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_policies_and_how_they_stand_are_on_answers_and_refusals(
    fleet: SpawnedFleet, adapter: Adapter, *, stream: bool
) -> None:
    with caller(fleet, adapter, ietf_headers=True) as http:
        answers = [asked(http, stream=stream) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    for answer in answers:
        assert parsed(answer.headers["ratelimit-policy"]) == [
            Item("key:requests_per_minute", {"q": 2, "w": 60}),
            Item("model:tokens_per_day", {"q": 9000, "qu": "tokens", "w": 86_400, "pk": b"mock"}),
            Item("key:concurrent_requests", {"q": 5, "qu": "concurrent-requests"}),
        ]
        assert answer.headers["x-ratelimit-limit-requests"] == "2"
    standing = [parsed(answer.headers["ratelimit"]) for answer in answers]
    assert [[item.value for item in each] for each in standing] == [
        ["key:requests_per_minute", "model:tokens_per_day"]
    ] * 3
    assert [each[0].parameters["r"] for each in standing] == [1, 0, 0]
    for answer, each in zip(answers, standing, strict=True):
        assert str(each[1].parameters["r"]) == answer.headers["x-ratelimit-remaining-tokens"]
    refusal = standing[-1]
    assert {item.parameters["t"] for item in refusal} <= set(range(1, int(answers[-1].headers["retry-after"]) + 1))


@pytest.mark.parametrize("adapter", ["front_door", "asgi"])
def test_unless_they_are_wanted_there_are_none(fleet: SpawnedFleet, adapter: Adapter) -> None:
    with caller(fleet, adapter) as http:
        for _ in range(3):
            answer = asked(http)
            assert "x-ratelimit-limit-requests" in answer.headers
            assert not [name for name in answer.headers if name.startswith("ratelimit")]

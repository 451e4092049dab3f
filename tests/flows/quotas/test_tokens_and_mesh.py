"""Limits bind those who show a token or come through a mesh as they bind those who have a key."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.support import plain
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.issuer import token_issuer
from tests.support.knocking import QUESTION

PLANS = [
    {"name": "default", "key": {"requests_per_minute": 2}, "tenant": {"requests_per_minute": 3}},
    {"name": "gold", "key": {"requests_per_minute": 1000}},
]


def statuses(gateway: RunningGateway, *shown: dict[str, str]) -> list[int]:
    return [ask(gateway, headers).status_code for headers in shown]


def ask(gateway: RunningGateway, headers: dict[str, str]) -> httpx2.Response:
    return plain.post(f"{gateway.url}/v1/chat/completions", json=QUESTION, headers=headers)


def said(gateway: RunningGateway, headers: dict[str, str]) -> str:
    message: str = ask(gateway, headers).json()["error"]["message"]
    return message


def test_a_subject_and_a_tenant_have_theirs_whatever_token_they_show() -> None:
    with token_issuer() as issuer:
        options = issuer.options(claims={"tenant": "org", "plan": "plan"})
        tree = configuration(auth={"kind": "jwt", "jwt": options}, quotas={"plans": PLANS})
        with running_gateway(tree) as gateway:

            def token(sub: str, **others: Any) -> dict[str, str]:
                return {"authorization": f"Bearer {issuer.token(sub=sub, **others)}"}

            assert statuses(gateway, *(token("alice", jti=str(number)) for number in range(3))) == [200, 200, 429]
            assert said(gateway, token("alice")).startswith(
                "Over the token subject's limit of 2 requests per minute (0"
            )
            assert statuses(gateway, token("bob"), token("bob")) == [200, 429]
            assert said(gateway, token("bob")).startswith("Over the tenant's limit of 3 requests per minute (0")
            assert statuses(gateway, token("alice", org="other")) == [200]
            assert statuses(gateway, *[token("carol", plan="gold")] * 5) == [200] * 5


@pytest.mark.parametrize(("plan", "expected"), [("default", [200, 200, 429]), ("gold", [200, 200, 200])])
def test_so_has_an_identity_of_the_mesh(plan: str, expected: list[int]) -> None:
    rule = {"identity": "spiffe://cluster.local/ns/{tenant}/sa/*", "plan": plan}
    mesh = {"header": "x-workload", "peers": ["127.0.0.1"], "identities": [rule]}
    tree = configuration(auth={"kind": "mesh", "mesh": mesh}, quotas={"plans": PLANS})
    batch = {"x-workload": "spiffe://cluster.local/ns/ml/sa/batch"}
    with running_gateway(tree) as gateway:
        assert statuses(gateway, *[batch] * 3) == expected
        if 429 in expected:
            assert said(gateway, batch).startswith("Over the mesh identity's limit of 2 requests per minute (0")


def test_where_nobody_is_asked_for_anything_the_limits_are_everybody_s() -> None:
    with running_gateway(configuration(quotas={"plans": PLANS})) as gateway:
        assert statuses(gateway, {}, {}) == [200, 200]
        assert said(gateway, {}).startswith("Over everybody's limit of 2 requests per minute (0")

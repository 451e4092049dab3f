"""Whom a mesh's proxies may vouch for, in the configuration: each mistake told with its path."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import ConfigError, check
from security.mesh import Rule, pattern
from tests.support.gateway import configuration

RULE = {"identity": "spiffe://cluster.local/ns/{tenant}/sa/*"}
GOOD: dict[str, Any] = {"peers": ["127.0.0.6"], "identities": [RULE]}


def told(mesh: Any, kind: str = "mesh") -> str:
    with pytest.raises(ConfigError) as refused:
        check(configuration(auth={"kind": kind, "mesh": mesh}), "test")
    return str(refused.value)


@pytest.mark.parametrize(
    ("mesh", "words"),
    [
        ({"peers": []}, "auth.mesh.peers: takes a list with at least one entry"),
        ({"peers": ["localhost"]}, "auth.mesh.peers[0]: takes an address or a network"),
        ({"identities": []}, "auth.mesh.identities: takes a list with at least one entry"),
        ({"header": "authorization"}, "auth.mesh.header: takes the name of a header"),
        ({"header": "X-Workload"}, "auth.mesh.header: takes the name of a header"),
        ({"identities": [{"identity": "a"}]}, "auth.mesh.identities[0]: takes either a tenant"),
        ({"identities": [{**RULE, "tenant": "acme"}]}, "auth.mesh.identities[0]: takes either a tenant"),
        ({"identities": [{"identity": "a/*-{tenant}-*"}]}, "auth.mesh.identities[0]: an identity takes 2 of *"),
        ({"identities": [{"identity": "{tenant}/{tenant}"}]}, "auth.mesh.identities[0]: takes either a tenant"),
        ({"identities": [{"identity": "a", "tenant": "a b"}]}, "auth.mesh.identities[0].tenant: takes the name"),
        ({"identities": [{**RULE, "scopes": ["admin"]}]}, "auth.mesh.identities[0].scopes[0]"),
        ({"identities": [{**RULE, "weight": 0}]}, "auth.mesh.identities[0].weight"),
        ({"identities": [{**RULE, "priority": 101}]}, "auth.mesh.identities[0].priority"),
        ({"identities": [{**RULE, "plan": "a b"}]}, "auth.mesh.identities[0].plan"),
    ],
)
def test_each_mistake_is_told_with_its_path(mesh: dict[str, Any], words: str) -> None:
    assert words in told({**GOOD, **mesh})


def test_a_plan_of_an_identity_is_listed_where_plans_are() -> None:
    """With keys it may be set over the admin API; and where nothing is listed, nothing binds anybody."""

    def tree(kind: str, *plans: str) -> dict[str, Any]:
        mesh = {**GOOD, "identities": [RULE, {**RULE, "plan": "gold"}]}
        listed = {"plans": [{"name": name} for name in plans]}
        return configuration(auth={"kind": kind, "mesh": mesh}, quotas=listed)

    told = r"auth.mesh.identities\[1\].plan: there is no plan of that name in quotas.plans; did you mean golf?"
    with pytest.raises(ConfigError, match=told):
        check(tree("mesh", "silver", "golf"), "x")
    for fine in (tree("mesh", "gold"), tree("mesh"), tree("keys", "golf")):
        check(fine, "x")


def test_kind_and_section_go_together() -> None:
    assert "auth: kind mesh takes a section mesh" in told(None)
    assert "auth: a section mesh takes kind mesh, keys or jwt" in told(GOOD, "none")
    jwt = {"issuer": "https://login.example.com", "audiences": ["x"], "tenant": "acme"}
    both = {"kind": "mesh", "mesh": GOOD, "jwt": jwt}
    with pytest.raises(ConfigError, match="auth: a section jwt takes kind jwt or keys"):
        check(configuration(auth=both), "test")
    assert check(configuration(auth={**both, "kind": "jwt"}), "test").auth.mesh is not None


def test_rules_are_what_is_said() -> None:
    terms = {"tenant": "acme", "models": ["chat"], "scopes": ["routing"], "weight": 7, "priority": -1, "plan": "gold"}
    mesh = check(
        configuration(auth={"kind": "mesh", "mesh": {**GOOD, "identities": [RULE, {"identity": "a*", **terms}]}}), "x"
    ).auth.mesh
    assert mesh is not None
    inference, routing = frozenset({"inference"}), frozenset({"routing"})
    assert mesh.rules() == [
        Rule(pattern(RULE["identity"]), "", None, inference, 1, 0, "default"),
        Rule(pattern("a*"), "acme", frozenset({"chat"}), routing, 7, -1, "gold"),
    ]
    assert mesh.trusted().trust("127.0.0.6")
    assert mesh.trusted().header == b"x-forwarded-client-cert"

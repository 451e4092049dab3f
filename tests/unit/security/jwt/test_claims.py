"""What claims come to: exactly what they say, and where they say nothing of use, nothing is guessed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.api import Principal
from security.jwt.api import BadToken, ClaimNames, Terms
from security.jwt.claims import find, judge
from tests.support.signing import claims
from tests.support.token_door import TERMS

NOW = 1_800_000_000.0


def principal(names: dict[str, str] | None = None, terms: dict[str, Any] | None = None, **others: Any) -> Principal:
    named = ClaimNames(**{"subject": "sub", "tenant": "org", **(names or {})})
    return judge(claims(NOW, **others), replace(TERMS, names=named, **(terms or {})), NOW)[0]


def refused(names: dict[str, str] | None = None, terms: dict[str, Any] | None = None, **others: Any) -> str:
    with pytest.raises(BadToken) as bad:
        principal(names, terms, **others)
    return bad.value.reason


def _named(terms: dict[str, Any]) -> dict[str, Any]:
    return {f"terms.{name}": value for name, value in terms.items()}


def test_a_claim_is_found_by_its_name_and_else_where_its_dots_lead() -> None:
    tree = {"a": {"b": {"c": 1}}, "https://example.com/org": "acme", "x.y": 2, "x": {"y": 3}, "list": [1]}
    found = [find(tree, path) for path in ("a.b.c", "https://example.com/org", "x.y", "x", "list.0", "a.b.d", "n.o")]
    assert found == [1, "acme", 2, {"y": 3}, None, None, None]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"exp": NOW - 30}, "expired"), ({"exp": NOW - 29}, None), ({"exp": None}, "claims"),
        ({"exp": str(NOW + 9)}, "claims"), ({"exp": True}, "claims"), ({"exp": float("inf")}, "claims"),
        ({"exp": float("nan")}, "claims"), ({"exp": 10**400}, "claims"), ({"exp": -1}, "claims"),
        ({"nbf": NOW + 30}, None), ({"nbf": NOW + 31}, "early"), ({"nbf": "soon"}, "claims"), ({"nbf": 0}, None),
        ({"iat": NOW + 30}, None), ({"iat": NOW + 31}, "early"), ({"iat": [1]}, "claims"), ({"iat": None}, None),
    ],
)  # fmt: skip
def test_times_hold_to_the_second_and_the_leeway(times: dict[str, Any], reason: str | None) -> None:
    if reason:
        assert refused(**times) == reason
    else:
        assert principal(**times).tenant == "acme"


def test_it_is_good_until_it_ends_and_the_leeway_is_over() -> None:
    assert judge(claims(NOW, exp=NOW + 7.5), TERMS, NOW)[1] == NOW + 37.5


@pytest.mark.parametrize(
    ("subject", "key_id"),
    [
        ("alice@example.com", "jwt:alice@example.com"), ("auth0|5f7c", "jwt:auth0|5f7c"),
        ("system:serviceaccount:ml:batch", "jwt:system:serviceaccount:ml:batch"), ("a b", "jwt:a%20b"),
        ("a%20b", "jwt:a%2520b"), ("{x}", "jwt:%7Bx%7D"), ("Zoë\n", "jwt:Zo%C3%AB%0A"), ("\ud800", "jwt:%ED%A0%80"),
    ],
)  # fmt: skip
def test_a_subject_becomes_an_id_that_can_be_printed(subject: str, key_id: str) -> None:
    assert principal(sub=subject).key_id == key_id


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_two_subjects_never_share_an_id(one: str, other: str) -> None:
    ids = [
        principal(sub=subject).key_id for subject in (one, other) if len(subject.encode("utf-8", "surrogatepass")) < 41
    ]
    assert len(set(ids)) == len({one, other}) or len(ids) < 2
    assert all(key_id.isascii() and key_id.isprintable() and " " not in key_id for key_id in ids)


@pytest.mark.parametrize("subject", [None, "", 7, ["alice"], "x" * 125, "é" * 30])
def test_a_subject_that_makes_no_id_is_refused(subject: Any) -> None:
    assert refused(sub=subject) == "claims"


@pytest.mark.parametrize("tenant", [None, "", "a b", "{acme}", "x" * 65, 7, ["acme"], "-acme", "acme\n"])
def test_a_tenant_is_named_as_ours_are(tenant: Any) -> None:
    assert refused(org=tenant) == "claims"


def test_a_tenant_may_be_fixed_or_deep_inside() -> None:
    fixed = replace(TERMS, tenant="house", names=ClaimNames("sub"))
    assert judge(claims(NOW), fixed, NOW)[0].tenant == "house"
    assert principal({"tenant": "realm.org"}, realm={"org": "deep"}).tenant == "deep"


@pytest.mark.parametrize(
    ("models", "may"),
    [
        (["chat", "small"], {"chat", "small"}), ("chat small", {"chat", "small"}), ("chat", {"chat"}), ("*", None),
        (["chat", "*"], None), (None, set()), ([], set()), (7, set()), ([7, {"a": 1}], set()),
    ],
)  # fmt: skip
def test_models_are_those_that_the_claim_names(models: Any, may: set[str] | None) -> None:
    assert principal({"models": "models"}, models=models).models == may


@pytest.mark.parametrize(
    ("scope", "has"),
    [
        ("inference admin", {"inference"}), (["inference", "routing", "x"], {"inference", "routing"}), (None, set()),
        ("openid profile", set()), ({"inference": True}, set()),
    ],
)  # fmt: skip
def test_scopes_are_those_that_the_claim_names_and_never_more_than_allowed(scope: Any, has: set[str]) -> None:
    most = {"scopes": frozenset({"inference", "routing"})}
    assert principal({"scopes": "scope"}, most, scope=scope).scopes == has


@pytest.mark.parametrize(
    ("terms", "come_to"),
    [
        ({}, (1, 0)), ({"weight": 1000, "priority": -100}, (1000, -100)), ({"weight": 0}, None),
        ({"weight": 1001}, None), ({"weight": "7"}, None), ({"weight": 1.0}, None), ({"priority": 101}, None),
        ({"priority": True}, None),
    ],
)  # fmt: skip
def test_weight_and_priority_are_as_those_of_tenants(terms: dict[str, Any], come_to: tuple[int, int] | None) -> None:
    names = {"weight": "terms.weight", "priority": "terms.priority"}
    if come_to is None:
        assert refused(names, None, **_named(terms)) == "claims"
    else:
        made = principal(names, None, **_named(terms))
        assert (made.weight, made.priority) == come_to


def test_a_plan_is_named_as_ours_are() -> None:
    assert principal().plan == principal({"plan": "plan"}).plan == "default"
    assert principal({"plan": "plan"}, plan="gold").plan == "gold"
    for bad in ("", "a b", 7, ["gold"]):
        assert refused({"plan": "plan"}, plan=bad) == "claims"


@pytest.mark.parametrize(
    ("held", "good"),
    [
        ({"azp": "app", "verified": True}, True), ({"azp": "two", "verified": True}, True),
        ({"azp": ["x", "app"], "verified": True}, True), ({"azp": "other", "verified": True}, False),
        ({"azp": "app"}, False), ({"azp": "app", "verified": 1}, False), ({"azp": "app", "verified": "true"}, False),
        ({"azp": {"app": 1}, "verified": True}, False),
    ],
)  # fmt: skip
def test_what_is_required_is_required(held: dict[str, Any], good: bool) -> None:
    required: dict[str, tuple[str | int, ...]] = {"azp": ("app", "two"), "verified": (True,)}
    assert principal(terms={"required": required}, **held) if good else refused(terms={"required": required}, **held)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_claim_of_any_kind_breaks_it(value: Any) -> None:
    names = ClaimNames("sub", "org", "models", "scope", "weight", "priority", "plan")
    terms: Terms = replace(TERMS, names=names, required={"azp": ("app",)})
    for name in ("sub", "org", "models", "scope", "weight", "priority", "plan", "exp", "nbf", "iat", "azp"):
        try:
            who, ends = judge({**claims(NOW), "azp": "app", name: value}, terms, NOW)
        except BadToken:
            continue
        assert NOW < ends < 1 << 42
        assert who.scopes <= terms.scopes

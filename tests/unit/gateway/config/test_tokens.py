"""What tokens must be like, in the configuration: each mistake told with its path, none of them with a secret."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from gateway.config import ConfigError, check
from gateway.config.auth import Auth
from gateway.config.tokens import Scope
from security.api import SCOPES
from tests.support.gateway import configuration

GOOD: dict[str, Any] = {"issuer": "https://login.example.com/realms/ml", "audiences": ["snowshed"], "tenant": "acme"}


def checked(kind: str = "jwt", **jwt: Any) -> Auth:
    return check(configuration(auth={"kind": kind, "jwt": {**GOOD, **jwt}}), "test").auth


def test_scopes_are_those_of_keys() -> None:
    assert get_args(Scope) == SCOPES


def test_what_is_said_becomes_the_terms() -> None:
    auth = checked(
        tenant=None, leeway="1m", require={"azp": ["a", "b"], "verified": True}, scopes=["inference", "operator"],
        claims={"tenant": "realm.org", "scopes": "scope"},
    )  # fmt: skip
    assert auth.jwt is not None
    terms = auth.jwt.terms()
    assert (terms.issuer, terms.audiences, terms.leeway) == (GOOD["issuer"], ("snowshed",), 60.0)
    assert terms.required == {"azp": ("a", "b"), "verified": (True,)}
    assert (terms.names.subject, terms.names.tenant, terms.names.models) == ("sub", "realm.org", None)
    assert terms.scopes == {"inference", "operator"}


def test_defaults_are_strict() -> None:
    auth = checked()
    assert auth.jwt is not None
    assert auth.jwt.algorithms == ("RS256", "ES256", "EdDSA")
    assert auth.jwt.terms().scopes == {"inference"}
    assert auth.jwt.jwks_url is None


@pytest.mark.parametrize(
    ("jwt", "words"),
    [
        ({"issuer": "http://login.example.com"}, "auth.jwt.issuer: takes https"),
        ({"issuer": "login.example.com"}, "auth.jwt.issuer: takes a URL"),
        ({"issuer": "https://me:hunter2@login.example.com"}, "auth.jwt.issuer: takes a URL without user"),
        ({"issuer": "https://login.example.com:port"}, "auth.jwt.issuer: takes a URL"),
        ({"issuer": "https://login.example.com/a b"}, "auth.jwt.issuer: takes a URL"),
        ({"jwks_url": "ftp://127.0.0.1/keys"}, "auth.jwt.jwks_url: takes https"),
        ({"jwks_url": "http://10.0.0.1/keys"}, "auth.jwt.jwks_url: takes https"),
        ({"audiences": []}, "auth.jwt.audiences: takes a list with at least one entry"),
        ({"algorithms": ["HS256"]}, r"auth.jwt.algorithms\[0\]: must be one of"),
        ({"algorithms": ["none"]}, r"auth.jwt.algorithms\[0\]: must be one of"),
        ({"algorithms": []}, "auth.jwt.algorithms: takes a list"),
        ({"leeway": "10m"}, "auth.jwt.leeway: "),
        ({"grace": 0}, "auth.jwt.grace: "),
        ({"tenant": "a b"}, "auth.jwt.tenant: takes the name of a tenant"),
        ({"tenant": None}, "auth.jwt: takes either tenant or claims.tenant"),
        ({"claims": {"tenant": "org"}}, "auth.jwt: takes either tenant or claims.tenant"),
        ({"claims": {"org": "x"}}, "auth.jwt.claims.org: there is no such setting"),
        ({"claims": {"subject": ""}}, "auth.jwt.claims.subject"),
        ({"scopes": ["root"]}, r"auth.jwt.scopes\[0\]"),
        ({"scopes": ["admin"]}, "auth.jwt: scopes beyond inference and routing take claims.scopes"),
        ({"require": {"azp": 1.5}}, "auth.jwt.require.azp"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_path(jwt: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        checked(**jwt)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:80/", "https://a.b"])
def test_plain_http_is_for_this_machine(url: str) -> None:
    auth = checked(issuer=url)
    assert auth.jwt is not None
    assert auth.jwt.issuer == url


def test_kind_and_section_go_together() -> None:
    with pytest.raises(ConfigError, match="auth: kind jwt takes a section jwt"):
        check(configuration(auth={"kind": "jwt"}), "test")
    with pytest.raises(ConfigError, match="auth: a section jwt takes kind jwt or keys"):
        checked("none")
    assert checked("keys").jwt == checked("jwt").jwt

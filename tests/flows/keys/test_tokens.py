"""Whoever has a good token of the issuer is served what its claims say; nobody else is, and it is asked seldom."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import openai
import pytest

from security.keys import mint
from tests.flows.keys.conftest import MODELS, auth
from tests.support import plain
from tests.support.admin import admin_port
from tests.support.gateway import RunningGateway, configuration, metric, running_gateway
from tests.support.issuer import DISCOVERY, JWKS, TokenIssuer, token_issuer
from tests.support.knocking import ask, code, models
from tests.support.signing import SigningKey, claims
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as issuer:
        yield issuer


def tree(issuer: TokenIssuer, **options: Any) -> dict[str, Any]:
    """A gateway that lets in whoever has a token."""
    return configuration(models=MODELS, auth={"kind": "jwt", "jwt": issuer.options(**options)})


@pytest.fixture
def gateway(issuer: TokenIssuer) -> Iterator[RunningGateway]:
    with running_gateway(tree(issuer)) as gateway:
        yield gateway


def page(gateway: RunningGateway, path: str) -> httpx2.Response:
    return plain.get(gateway.ops_url + path)


def refused(gateway: RunningGateway, reason: str) -> float:
    return metric(page(gateway, "/metrics").text, "snowshed_tokens_refused_total", reason=reason)


def test_a_token_opens(gateway: RunningGateway, issuer: TokenIssuer) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=issuer.token(), max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["mock", "other"]
        said = client.chat.completions.create(model="mock", messages=[{"role": "user", "content": "hi"}])
        assert said.choices[0].finish_reason == "stop"
    assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


def test_claims_say_what_is_theirs(issuer: TokenIssuer) -> None:
    options = {"claims": {"tenant": "realm.org", "models": "models", "scopes": "scope"}, "tenant": None}
    with running_gateway(tree(issuer, **options)) as gateway:
        terms = {"realm": {"org": "acme"}, "models": ["other"], "scope": "openid inference"}
        narrow = issuer.token(**terms)
        assert code(ask(gateway.url, narrow, "other")) == (200, None)
        assert code(ask(gateway.url, narrow, "mock")) == (404, "model_not_found")
        assert [model["id"] for model in models(gateway.url, narrow).json()["data"]] == ["other"]
        assert code(ask(gateway.url, issuer.token(**{**terms, "scope": "openid"}))) == (403, "insufficient_permissions")
        assert code(ask(gateway.url, issuer.token(**{**terms, "realm": {}}))) == (401, "invalid_api_key")


def test_who_asked_is_written_down_and_the_token_nowhere(issuer: TokenIssuer, tmp_path: Path) -> None:
    token = issuer.token(sub="service batch", org="acme")
    log = tmp_path / "records.jsonl"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    try:
        with running_gateway(tree(issuer), log_fd=descriptor) as gateway:
            assert ask(gateway.url, token).status_code == 200
            assert ask(gateway.url, token + "x").status_code == 401
            shown = page(gateway, "/metrics").text
        records = [json.loads(line) for line in log.read_text().splitlines()]
    finally:
        os.close(descriptor)
    assert [(one.get("key"), one.get("tenant")) for one in records][:1] == [("jwt:service%20batch", "acme")]
    for part in token.split("."):
        assert part not in log.read_text() + shown


def bad_tokens(issuer: TokenIssuer) -> dict[str, str]:
    """By why each is refused."""
    key, thief = issuer.keys[0], SigningKey("one")
    good = claims(iss=issuer.url)
    return {
        "signature": thief.sign(good),
        "algorithm": jwt.encode(good, "s" * 32, "HS256", {"kid": key.kid}),
        "issuer": key.sign({**good, "iss": "https://login.example.com"}),
        "audience": key.sign({**good, "aud": "another"}),
        "expired": key.sign({**good, "exp": good["iat"] - 31}),
        "early": key.sign({**good, "nbf": good["iat"] + 300}),
        "claims": key.sign({**good, "org": "no such name"}),
        "form": "a.b.c",
    }


def test_bad_tokens_are_refused_alike_and_counted_apart(gateway: RunningGateway, issuer: TokenIssuer) -> None:
    none = jwt.encode(claims(iss=issuer.url), "", "none", {"kid": "one"})
    answers = []
    for reason, token in bad_tokens(issuer).items():
        answers.append(ask(gateway.url, token))
        assert refused(gateway, reason) == 1
        assert code(ask(gateway.url, token)) == (401, "invalid_api_key")
        assert refused(gateway, reason) == 1, "it is remembered"
    answers += [ask(gateway.url, none), ask(gateway.url, mint()), ask(gateway.url, "x.y." + "z" * 20_000)]
    assert {code(answer) for answer in answers} == {(401, "invalid_api_key")}
    assert len({answer.content for answer in answers}) == 1, "why is nobody's business"
    assert {answer.headers["www-authenticate"].split()[0] for answer in answers} == {"Bearer"}
    assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


def test_a_new_key_of_the_issuer_is_found(gateway: RunningGateway, issuer: TokenIssuer) -> None:
    old = issuer.token()
    assert ask(gateway.url, old).status_code == 200
    issuer.keys.append(SigningKey("two", "EdDSA"))
    assert ask(gateway.url, issuer.token()).status_code == 200
    assert ask(gateway.url, old).status_code == 200
    assert issuer.asked[JWKS] == 2


def test_the_issuer_goes_and_comes_back(gateway: RunningGateway, issuer: TokenIssuer) -> None:
    known, stranger = issuer.token(), SigningKey("two")
    assert ask(gateway.url, known).status_code == 200
    issuer.stop()
    issuer.keys.append(stranger)
    assert code(ask(gateway.url, issuer.token())) == (503, "keys_unavailable")
    assert ask(gateway.url, known).status_code == 200
    assert ask(gateway.url, issuer.keys[0].sign(claims(iss=issuer.url, sub="new"))).status_code == 200
    assert metric(page(gateway, "/metrics").text, "snowshed_token_issuer_up") == 0
    assert metric(page(gateway, "/metrics").text, "snowshed_key_store_up") == 1
    ready = page(gateway, "/readyz")
    assert ready.status_code == 200
    assert "the issuer's keys can't be had (ConnectError)" in ready.json()["warnings"][0]
    issuer.start()
    wait_until(lambda: ask(gateway.url, issuer.token()).status_code == 200)
    assert metric(page(gateway, "/metrics").text, "snowshed_token_issuer_up") == 1
    assert page(gateway, "/readyz").json()["warnings"] == []


def test_started_before_its_issuer(issuer: TokenIssuer) -> None:
    token = issuer.token()
    issuer.stop()
    with running_gateway(tree(issuer)) as gateway:
        assert code(ask(gateway.url, token)) == (503, "keys_unavailable")
        assert page(gateway, "/readyz").status_code == 503
        issuer.start()
        wait_until(lambda: page(gateway, "/readyz").status_code == 200)
        assert ask(gateway.url, token).status_code == 200


def test_the_grace_ends(issuer: TokenIssuer) -> None:
    with running_gateway(tree(issuer, grace="1s")) as gateway:
        token = issuer.token()
        assert ask(gateway.url, token).status_code == 200
        issuer.stop()
        try:
            stranger = SigningKey("x").sign(claims(iss=issuer.url))
            wait_until(lambda: code(ask(gateway.url, stranger)) == (503, "keys_unavailable"))
            wait_until(lambda: code(ask(gateway.url, token)) == (503, "keys_unavailable"))
            wait_until(lambda: page(gateway, "/readyz").status_code == 503)
        finally:
            issuer.start()


def test_keys_and_tokens_side_by_side(issuer: TokenIssuer, book: KeyBook) -> None:
    book.tenant()
    key = book.key()
    with running_gateway(configuration(models=MODELS, auth=auth(book.url, jwt=issuer.options()))) as gateway:
        for shown in (key, issuer.token()):
            assert code(ask(gateway.url, shown)) == (200, None)
        for shown in (mint(), "a.b.c", "", "sk.snow"):
            assert code(ask(gateway.url, shown)) == (401, "invalid_api_key")


def test_a_token_may_run_the_gateway_only_where_that_is_said(issuer: TokenIssuer, book: KeyBook) -> None:
    book.tenant()
    book.key(scopes=["admin"])
    said = issuer.options(scopes=["inference", "viewer"], claims={"tenant": "org", "scopes": "scope"})
    tree = configuration(models=MODELS, auth=auth(book.url, jwt=said), admin={"port": 0})
    with running_gateway(tree) as gateway:
        port = admin_port(gateway)

        def whoami(scope: str) -> httpx2.Response:
            headers = {"authorization": f"Bearer {issuer.token(scope=scope)}"}
            return plain.get(f"http://127.0.0.1:{port}/v1/whoami", headers=headers)

        assert whoami("viewer").json()["key_id"] == "jwt:alice"
        assert whoami("admin viewer").json()["role"] == "viewer"
        assert whoami("admin inference").status_code == 403

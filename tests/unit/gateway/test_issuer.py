"""An issuer is asked where it says that its keys are, for a bounded time and amount, and nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from gateway.issuer import LARGEST, PATIENCE, Issuer
from security.api import StoreAway
from tests.support.gateway import ROOT
from tests.support.issuer import DISCOVERY, JWKS, REALM, Answer, TokenIssuer, token_issuer


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as issuer:
        yield issuer


def published(document: bytes) -> list[str]:
    return [key["kid"] for key in json.loads(document)["keys"]]


async def test_keys_are_found_by_discovery(issuer: TokenIssuer) -> None:
    assert published(await Issuer(issuer.url, None).fetch()) == ["one"]
    assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


async def test_an_explicit_address_needs_no_discovery(issuer: TokenIssuer) -> None:
    assert published(await Issuer("https://elsewhere.example.com", issuer.url + "/keys").fetch()) == ["one"]
    assert issuer.asked == {JWKS: 1}


def discovery(there: TokenIssuer, **others: object) -> Answer:
    return Answer(json.dumps({"issuer": there.url, "jwks_uri": there.url + "/keys", **others}).encode())


async def test_the_document_of_another_issuer_does_not_count(issuer: TokenIssuer) -> None:
    for other in ("http://127.0.0.1:1/realms/ml", issuer.url + "/", ""):
        issuer.answers[DISCOVERY] = discovery(issuer, issuer=other)
        with pytest.raises(StoreAway, match="about another issuer"):
            await Issuer(issuer.url, None).fetch()
    assert issuer.asked[JWKS] == 0


@pytest.mark.parametrize("url", ["http://keys.example.com/", "file:///etc/passwd", "//x/keys", "", "https://u:p@x/"])
async def test_keys_are_not_fetched_from_just_anywhere(issuer: TokenIssuer, url: str) -> None:
    issuer.answers[DISCOVERY] = discovery(issuer, jwks_uri=url)
    with pytest.raises(StoreAway, match="no usable jwks_uri"):
        await Issuer(issuer.url, None).fetch()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"issuer": "x"}', b"[" * 100_000])
async def test_what_is_no_discovery_document_is_told(issuer: TokenIssuer, body: bytes) -> None:
    issuer.answers[DISCOVERY] = Answer(body)
    with pytest.raises(StoreAway, match="discovery document is none"):
        await Issuer(issuer.url, None).fetch()


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
async def test_it_leads_nowhere_else(issuer: TokenIssuer, path: str) -> None:
    issuer.answers[path] = Answer(status=302, headers={"location": issuer.url + "/elsewhere"})
    with pytest.raises(StoreAway, match="status 302"):
        await Issuer(issuer.url, None).fetch()
    assert REALM + "/elsewhere" not in issuer.asked
    issuer.answers[path] = Answer(b"{}", status=503)
    with pytest.raises(StoreAway, match="status 503"):
        await Issuer(issuer.url, None).fetch()


async def test_an_answer_is_bounded(issuer: TokenIssuer) -> None:
    issuer.answers[JWKS] = Answer(b" " * (LARGEST + 1))
    with pytest.raises(StoreAway, match="too large"):
        await Issuer(issuer.url, None).fetch()


async def test_silence_is_bounded(issuer: TokenIssuer) -> None:
    issuer.silence = True
    began = time.monotonic()
    with pytest.raises(StoreAway, match=r"no answer within 0\.1 s"):
        await Issuer(issuer.url, None, patience=0.1).fetch()
    assert time.monotonic() - began < PATIENCE


async def test_nobody_there_is_told_by_its_kind(issuer: TokenIssuer) -> None:
    issuer.stop()
    try:
        with pytest.raises(StoreAway, match=r"^ConnectError$"):
            await Issuer(issuer.url, None).fetch()
    finally:
        issuer.start()


async def test_it_is_asked_for_nothing_compressed(issuer: TokenIssuer) -> None:
    issuer.answers[JWKS] = Answer(b"\x1f\x8b" + b"x" * 100, headers={"content-encoding": "gzip"})
    assert (await Issuer(issuer.url, None).fetch()).startswith(b"\x1f\x8b"), "it stays as it came"


async def test_over_https_it_must_show_a_certificate_of_somebody_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = ROOT / "tests/support/localhost.pem"
    with token_issuer(certificate) as issuer:
        with pytest.raises(StoreAway, match="ConnectError"):
            await Issuer(issuer.url, None).fetch()
        assert not issuer.asked
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert published(await Issuer(issuer.url, None).fetch()) == ["one"]
        with pytest.raises(StoreAway, match="ConnectError"):
            await Issuer(issuer.url.replace("127.0.0.1", "127.0.0.2"), None).fetch()


async def test_https_does_not_lead_to_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = ROOT / "tests/support/localhost.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with token_issuer(certificate) as issuer:
        issuer.answers[DISCOVERY] = discovery(issuer, jwks_uri=issuer.url.replace("https:", "http:") + "/keys")
        with pytest.raises(StoreAway, match="no usable jwks_uri"):
            await Issuer(issuer.url, None).fetch()
        assert issuer.asked == {DISCOVERY: 1}


async def test_an_answer_that_is_no_http_is_told_by_its_kind(issuer: TokenIssuer) -> None:
    issuer.answers[JWKS] = Answer(b"{}", headers={"content-length": "7"})
    with pytest.raises(StoreAway, match=r"^(RemoteProtocolError|no answer within 1 s)$"):
        await Issuer(issuer.url, None, patience=1.0).fetch()

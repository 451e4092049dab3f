"""Only a token that the issuer has signed, for us, with an algorithm that is accepted, is good."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from security.jwt.token import LONGEST
from tests.support.signing import SigningKey, claims, rsa_key
from tests.support.token_door import ALGORITHMS, TokenDoor

START = TokenDoor().wall.now


async def door(*keys: SigningKey, **terms: Any) -> TokenDoor:
    made = TokenDoor(*keys, **terms)
    await made.checks.start()
    return made


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed_as_it_is(payload: bytes, key: SigningKey, **header: Any) -> str:
    """Whatever is in it: a library for tokens would refuse to."""
    signed = f"{part({'alg': 'ES256', 'kid': 'one', **header})}.{part(payload)}"
    return f"{signed}.{part(jwt.get_algorithm_by_name('ES256').sign(signed.encode(), key.private))}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_each_algorithm_opens(algorithm: str) -> None:
    there = await door(SigningKey("k", algorithm))
    principal = await there.ask(there.token(sub="service:batch 7", org="acme"))
    assert (principal.key_id, principal.tenant) == ("jwt:service:batch%207", "acme")
    assert principal.models is None
    assert principal.scopes == {"inference"}
    assert (principal.weight, principal.priority) == (1, 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_what_another_has_signed_is_refused(algorithm: str) -> None:
    there = await door(SigningKey("k", algorithm))
    private = rsa_key(2056) if algorithm in ("RS256", "PS256") else None
    with there.refuses("signature"):
        await there.ask(SigningKey("k", algorithm, private).sign(claims(START)))


async def test_a_changed_claim_is_refused() -> None:
    there = await door()
    head, _, signature = there.token().split(".")
    with there.refuses("signature"):
        await there.ask(f"{head}.{part(claims(START, org='rich'))}.{signature}")


@pytest.mark.parametrize("spelling", ["none", "None", "NONE", ""])
async def test_no_signature_is_none(spelling: str) -> None:
    there = await door()
    for signature in ("", part(b"x")):
        with there.refuses("algorithm"):
            await there.ask(f"{part({'alg': spelling, 'kid': 'one'})}.{part(claims(START))}.{signature}")


@pytest.mark.parametrize("shape", ["pem", "der", "jwk"])
async def test_the_public_key_is_no_secret_to_sign_with(shape: str) -> None:
    """Algorithm confusion: HMAC with what everybody can fetch."""
    key = SigningKey("k", "RS256")
    there = await door(key)
    public = key.private.public_key()
    secret = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(key.jwk()).encode(),
    }[shape]
    mac = jwt.get_algorithm_by_name("HS256")
    signed = f"{part({'alg': 'HS256', 'kid': 'k'})}.{part(claims(START))}"
    with there.refuses("algorithm"):
        await there.ask(f"{signed}.{part(mac.sign(signed.encode(), secret))}")


async def test_a_symmetric_key_is_never_used_even_if_it_is_published() -> None:
    there = await door()
    shared = part(b"s" * 32)
    there.publisher.document = json.dumps(
        {"keys": [{"kty": "oct", "kid": "h", "k": shared}, there.publisher.keys[0].jwk()]}
    ).encode()
    there.pass_time(300.0)
    await there.keys.refresh()
    with there.refuses("algorithm"):
        await there.ask(jwt.encode(claims(START), b"s" * 32, "HS256", {"kid": "h"}))


async def test_a_key_checks_no_other_algorithm_than_its_own() -> None:
    said = SigningKey("said", "RS256", published={"alg": "RS256"})
    there = await door(said, SigningKey("ec"))
    there.clock.now += 10.0
    with there.refuses("key"):
        await there.ask(SigningKey("said", "PS256", said.private).sign(claims(START)))
    there.clock.now += 10.0
    with there.refuses("key"):
        await there.ask(SigningKey("ec", "RS256").sign(claims(START)))


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "http://127.0.0.1:9/evil"}, {"x5u": "http://127.0.0.1:9/evil"}, {"jwk": SigningKey("evil").jwk()},
        {"x5c": ["MIIB"]},
    ],
    ids=lambda header: next(iter(header)),
)  # fmt: skip
async def test_a_key_that_a_token_brings_along_does_not_count(header: dict[str, Any]) -> None:
    there = await door()
    asked = there.publisher.asked
    with there.refuses("signature"):
        await there.ask(SigningKey("one").sign(claims(START), **header))
    assert there.publisher.asked == asked


@pytest.mark.parametrize(
    ("header", "reason"),
    [({"crit": ["exp"], "exp": 1}, "claims"), ({"crit": ["b64"], "b64": False}, "form"), ({"b64": False}, "form")],
    ids=["unknown", "b64", "detached"],
)
async def test_what_must_be_understood_and_is_not_is_refused(header: dict[str, Any], reason: Any) -> None:
    there = await door()
    token = signed_as_it_is(json.dumps(claims(START)).encode(), there.publisher.keys[0], **header)
    with there.refuses(reason):
        await there.ask(token)


HEADER = part({"alg": "ES256", "kid": "one"})
DEEP = b'{"alg":"ES256","x":' + b"[" * 5000


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "a.b", "a.b.c", "a.b.c.d.e", "e30.e30.e30", f"{part([])}.e30.e30", f"{part({'alg': 7})}.e30.e30",
        f"{part({'alg': 'ES256', 'kid': 1})}.e30.e30", f"{part(b'[' * 5000)}.e30.e30", "ü.e30.e30",
        f"{part(DEEP)}.e30.e30", part(b'{"alg": "\xff"}') + ".e30.e30",
        f"{part(b'[' * 5000 + b']' * 5000)}.e30.e30", f"{HEADER}.e30", "sk-snow-0123456789ab", f"{HEADER}.e30.!!",
    ],
    ids=lambda token: f"{len(token)} {token[:8]}",
)  # fmt: skip
async def test_what_is_no_token_is_refused(token: str) -> None:
    there = await door()
    with there.refuses("form"):
        await there.ask(token)


@pytest.mark.parametrize("claimed", ["", "e30", part(b"[" * 5000)], ids=["empty", "object", "deep"])
async def test_what_nobody_has_signed_is_refused(claimed: str) -> None:
    there = await door()
    for signature in ("", "e30", part(b"x" * 64)):
        with there.refuses("signature"):
            await there.ask(f"{HEADER}.{claimed}.{signature}")


async def test_a_huge_token_is_not_even_looked_at() -> None:
    there = await door()
    good = there.token(pad="x" * (LONGEST * 3 // 4 - 400))
    assert len(good) <= LONGEST
    assert (await there.ask(good)).tenant == "acme"
    with there.refuses("form"):
        await there.ask(there.token(pad="x" * LONGEST))


async def test_claims_of_any_shape_are_refused_and_nothing_else() -> None:
    there = await door()
    key = there.publisher.keys[0]
    for payload in (b"[]", b"7", b"null", b'"x"', b"{", b"[" * 5000 + b"]" * 5000, b"\xff"):
        with there.refuses("form"):
            await there.ask(signed_as_it_is(payload, key))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"iss": "http://127.0.0.1:9/realms/other"}, "issuer"), ({"iss": None}, "claims"), ({"iss": ["x"]}, "issuer"),
        ({"iss": "http://127.0.0.1:9/realms/ml/"}, "issuer"), ({"aud": "somebody"}, "audience"),
        ({"aud": []}, "claims"), ({"aud": None}, "claims"), ({"aud": {"snowshed": 1}}, "audience"),
        ({"aud": [["snowshed"]]}, "audience"), ({"sub": 7}, "claims"), ({"exp": START - 31}, "expired"),
        ({"nbf": START + 31}, "early"), ({"iat": START + 31}, "early"), ({"jti": 7}, "claims"),
    ],
)  # fmt: skip
async def test_what_is_not_for_us_now_is_refused(other: dict[str, Any], reason: Any) -> None:
    there = await door()
    payload = json.dumps(claims(START, **other)).encode()
    with there.refuses(reason):
        await there.ask(signed_as_it_is(payload, there.publisher.keys[0]))


async def test_one_of_several_audiences_is_enough() -> None:
    there = await door()
    for audience in ("other", ["else", "snowshed"]):
        assert (await there.ask(there.token(aud=audience))).tenant == "acme"


async def test_a_token_without_an_id_of_a_key_is_of_the_only_one() -> None:
    lone, other = SigningKey("lone"), SigningKey("other", "EdDSA")
    there = await door(lone, other)
    unnamed = jwt.encode(claims(START), lone.private, "ES256")
    assert (await there.ask(unnamed)).tenant == "acme"
    there.publisher.keys.append(SigningKey("third"))
    there.pass_time(300.0)
    await there.keys.refresh()
    there.pass_time(10.0)
    with there.refuses("key"):
        await there.ask(jwt.encode(claims(START + 310, sub="bob"), lone.private, "ES256"))

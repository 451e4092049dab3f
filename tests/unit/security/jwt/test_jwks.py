"""Of a published key set those keys are taken that signatures can be checked with; the others break nothing."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.jwt.jwks import MOST, read
from tests.support.signing import SigningKey, rsa_key

ALL = ("RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA")
EC, RSA = SigningKey("ec").jwk(), SigningKey("rsa", "RS256").jwk()
GOOD = SigningKey("good", "EdDSA").jwk()


def found(*jwks: Any) -> set[tuple[str, str]]:
    return set(read(json.dumps({"keys": [*jwks, GOOD]}).encode(), ALL)) - {("good", "EdDSA")}


def test_a_key_is_for_each_algorithm_that_fits_it_and_is_accepted() -> None:
    assert found(RSA) == {("rsa", "RS256"), ("rsa", "RS384"), ("rsa", "PS256")}
    assert found(EC, SigningKey("p384", "ES384").jwk()) == {("ec", "ES256"), ("p384", "ES384")}
    assert set(read(json.dumps({"keys": [RSA, GOOD]}).encode(), ["PS256"])) == {("rsa", "PS256")}


def test_a_key_that_names_its_algorithm_is_for_that_alone() -> None:
    assert found({**RSA, "alg": "RS256"}) == {("rsa", "RS256")}
    assert found({**RSA, "alg": "RSA-OAEP"}, {**EC, "alg": "ES384"}, {**RSA, "alg": "HS256"}) == set()


@pytest.mark.parametrize(
    "jwk",
    [
        {**RSA, "use": "enc"}, {**EC, "crv": "P-521"}, {**EC, "crv": "secp256k1"}, {**EC, "x": "AA"}, {**EC, "x": 7},
        {**EC, "y": EC["x"]}, {**RSA, "n": None}, {**RSA, "e": "!"}, {**EC, "kid": 7}, {**EC, "kid": "k" * 257},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "h"}, {"kty": "oct", "k": "c2VjcmV0", "alg": "RS256"}, {}, [], None, 7,
        SigningKey("weak", "RS256", rsa_key(1024)).jwk(), {**EC, "kty": "RSA"}, {"kty": ["RSA"]},
    ],
    ids=(f"unfit-{number}" for number in count()),  # the keys are new in each run
)  # fmt: skip
def test_a_key_that_can_not_be_used_is_left_out(jwk: Any) -> None:
    assert found(jwk) == set()


def test_what_is_private_is_not_taken_in() -> None:
    private = SigningKey("p")
    numbers = private.private.private_numbers()
    [key] = read(json.dumps({"keys": [{**private.jwk(), "d": "AA" * 21 + "A"}]}).encode(), ALL).values()
    assert numbers.public_numbers == key.check.key.public_numbers()
    assert "d" not in key.published


def test_no_more_keys_are_looked_at_than_an_issuer_would_have() -> None:
    assert len(read(json.dumps({"keys": [{**EC, "kid": str(n)} for n in range(2 * MOST)]}).encode(), ALL)) == MOST


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "not JSON"), (b"<html>", "not JSON"), (b"[" * 100_000, "not JSON"), (b'{"keys": "\xff"}', "not JSON"),
        (b"[]", "no key set"),
        (b"{}", "no key set"), (b'{"keys": {}}', "no key set"), (b'{"keys": []}', "no key for the algorithms"),
        (b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', "no key for the algorithms"),
    ],
)  # fmt: skip
def test_what_is_no_key_set_is_told_in_words(document: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(document, ALL)


@given(
    st.sampled_from([EC, RSA, GOOD]),
    st.sampled_from(["kty", "crv", "n", "e", "x", "y", "alg", "use", "kid"]),
    st.none() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()),
)
def test_no_member_of_any_kind_breaks_it(jwk: dict[str, Any], member: str, value: Any) -> None:
    assert found({**jwk, member: value}) <= {
        (kid, algorithm) for kid in ("ec", "rsa", str(value), "good") for algorithm in ALL
    }

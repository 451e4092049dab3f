"""An issuer's published keys (RFC 7517): those that signatures can be checked with, and by which algorithm."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from jwt import PyJWK, PyJWTError

MOST: Final = 100
"""Keys that are looked at. Issuers publish a handful."""
LONGEST_KID: Final = 256
_PUBLIC: Final = ("kty", "crv", "n", "e", "x", "y")
_FITTING: Final[Mapping[tuple[object, object], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""Algorithms by a key's type and curve: of two parties' keys alone, so that nobody signs with what is public."""


@dataclass(slots=True, frozen=True)
class Key:
    """A public key for one algorithm. Two are equal if they were published alike."""

    kid: str
    algorithm: str
    published: Mapping[str, object]
    check: PyJWK = field(compare=False, repr=False)


Keys = Mapping[tuple[str, str], Key]
"""By id ("" for one without) and algorithm."""


def read(document: bytes, algorithms: Collection[str]) -> Keys:
    """The keys in a key set that fit one of the algorithms. Raises ValueError, for people, if there is none."""
    try:
        found: object = msgspec.json.decode(document)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        raise ValueError("what it publishes is not JSON") from None
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ValueError("what it publishes is no key set")  # noqa: TRY004  # told to people, as the others are
    keys = {
        (key.kid, key.algorithm): key
        for jwk in listed[:MOST]
        if isinstance(jwk, dict)
        for key in _usable(jwk, algorithms)
    }
    if not keys:
        raise ValueError("it publishes no key for the algorithms that are accepted")
    return keys


def _usable(jwk: dict[str, Any], algorithms: Collection[str]) -> Iterator[Key]:
    kid = jwk.get("kid", "")
    if jwk.get("use", "sig") != "sig" or not isinstance(kid, str) or len(kid) > LONGEST_KID:
        return
    public = {name: value for name in _PUBLIC if isinstance(value := jwk.get(name), str)}
    for algorithm in _FITTING.get((public.get("kty"), public.get("crv")), ()):
        if algorithm in algorithms and jwk.get("alg", algorithm) == algorithm:
            try:
                check = PyJWK(public, algorithm)
            except PyJWTError:
                continue
            if not check.Algorithm.check_key_length(check.key):  # else it says what is wrong: too short
                yield Key(kid, algorithm, public, check)

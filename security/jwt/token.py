"""A token in its compact form (RFC 7515): what it says of its key, and whether that key has signed it."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Any, Final

import jwt
import msgspec
from jwt.types import Options

from security.jwt.api import BadToken, Reason, Terms
from security.jwt.jwks import Key

LONGEST: Final = 16 * 1024
"""Bytes of a token. What looking at one costs grows with it: half a millisecond here."""
_OPTIONS: Final[Options] = {
    "verify_exp": False,  # times are judged with a clock that is given: see claims.py
    "verify_nbf": False,
    "verify_iat": False,
    "enforce_minimum_key_length": True,
}
# The first that an error is one of: a wrong signature is a DecodeError, too.
_REASONS: Final[tuple[tuple[type[jwt.PyJWTError], Reason], ...]] = (
    (jwt.InvalidSignatureError, "signature"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.DecodeError, "form"),
    (jwt.PyJWTError, "claims"),
)


class Header(msgspec.Struct, frozen=True):
    """What a token says of its signature, unchecked. Where its key is (`jku`, `x5u`, `jwk`) it says in vain."""

    alg: str
    kid: str = ""


def header(token: bytes) -> Header:
    """Raises BadToken, if it can't be one."""
    if len(token) > LONGEST or token.count(b".") != 2:  # noqa: PLR2004  # header.claims.signature
        raise BadToken("form")
    first = token[: token.index(b".")]
    try:
        return msgspec.json.decode(urlsafe_b64decode(first + b"=" * (-len(first) % 4)), type=Header)
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise BadToken("form") from None


def verify(token: bytes, key: Key, terms: Terms) -> dict[str, Any]:
    """The claims of a token that is signed, by the issuer and for us; the rest is not judged. Raises BadToken."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key.check, algorithms=[key.algorithm], audience=terms.audiences, issuer=terms.issuer,
            options=_OPTIONS,
        )  # fmt: skip
    except jwt.PyJWTError as error:
        raise BadToken(next(reason for kind, reason in _REASONS if isinstance(error, kind))) from None
    return claims

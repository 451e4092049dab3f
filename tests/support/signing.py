"""Keys of an issuer and the tokens that it signs with them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "http://127.0.0.1:9/realms/ml"
AUDIENCE = "snowshed"


@cache
def rsa_key(bits: int = 2048) -> RSAPrivateKey:
    """It takes long to make one."""
    return generate_rsa_key(65537, bits)


def _private(algorithm: str) -> Any:
    if algorithm.startswith("ES"):
        return generate_private_key(SECP384R1() if algorithm == "ES384" else SECP256R1())
    return Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa_key()


@dataclass(slots=True)
class SigningKey:
    """`published`: what of it is published beside what is needed."""

    kid: str = "one"
    algorithm: str = "ES256"
    private: Any = None
    published: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.private = self.private or _private(self.algorithm)

    def jwk(self) -> dict[str, Any]:
        public = self.private.public_key()
        family = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}
        kind: Any = OKPAlgorithm if self.algorithm == "EdDSA" else family[self.algorithm[0]]
        return {**kind.to_jwk(public, as_dict=True), "kid": self.kid, "use": "sig", **self.published}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.private, header.get("alg", self.algorithm), {"kid": self.kid, **header})


def claims(now: float | None = None, **others: Any) -> dict[str, Any]:
    """Good ones for five minutes; None takes one away."""
    now = time.time() if now is None else now
    all_ = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "org": "acme", "iat": int(now), "exp": int(now) + 300}
    return {name: value for name, value in {**all_, **others}.items() if value is not None}

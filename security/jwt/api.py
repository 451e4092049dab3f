"""What makes a token good, who says so, and why one is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

from security.api import Authenticator

Reason = Literal["form", "algorithm", "key", "signature", "issuer", "audience", "expired", "early", "claims"]
REASONS: tuple[Reason, ...] = get_args(Reason)


class BadToken(Exception):
    """A token that is not good. `reason` is for those who run the gateway; who sent it learns nothing of it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@runtime_checkable
class TokenAuthenticator(Authenticator, Protocol):
    """An Authenticator that counts the tokens that were not good, by the reason."""

    refusals: Counter[Reason]


class KeySource(Protocol):
    """Where an issuer publishes its keys."""

    async def fetch(self) -> bytes:
        """The JSON Web Key Set, as it comes. Raises StoreAway within a few seconds if it can't be had."""
        ...


@dataclass(slots=True, frozen=True)
class ClaimNames:
    """The claims that say what is a principal's; None: none does. Dots lead into claims that are objects."""

    subject: str
    tenant: str | None = None
    models: str | None = None
    scopes: str | None = None
    weight: str | None = None
    priority: str | None = None
    plan: str | None = None


@dataclass(slots=True, frozen=True)
class Terms:
    """What a token must say, and what follows from it. `leeway` in seconds.

    `required`: claims, each with the values of which it must be one, or must hold one if it is a list. `tenant`: of
    all tokens, where no claim says it. `scopes`: the most that a token may have, and what it has where no claim says.
    """

    issuer: str
    audiences: tuple[str, ...]
    leeway: float
    required: Mapping[str, tuple[str | int, ...]]
    tenant: str
    scopes: frozenset[str]
    names: ClaimNames

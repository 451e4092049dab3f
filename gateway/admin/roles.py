"""Who may do what: each role may what the one before it may, and nobody gives away more than is theirs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from security.api import SCOPES, Forbidden

CALLING: Final = frozenset(SCOPES[:2])
ROLES: Final = SCOPES[2:]
"""Scopes that are roles, the least one first: viewer, operator, admin."""
VIEWER, OPERATOR, ADMIN = ROLES


def role(scopes: Collection[str]) -> str | None:
    """The highest that a key with these scopes has."""
    return next((each for each in reversed(ROLES) if each in scopes), None)


def require(scopes: Collection[str], least: str) -> None:
    """Raises Forbidden, which names the role that is missing."""
    has = role(scopes)
    if has is None or ROLES.index(has) < ROLES.index(least):
        raise Forbidden(least)


def for_method(method: str) -> str:
    """The least role for a request: looking takes a viewer, everything else an operator."""
    return VIEWER if method in {"GET", "HEAD"} else OPERATOR


def for_key(scopes: Collection[str]) -> str:
    """The least role for making, rotating or revoking a key with these scopes."""
    return OPERATOR if CALLING.issuperset(scopes) else ADMIN

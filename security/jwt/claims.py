"""From the claims of a token whose signature is good to whose it is, and until when: pure, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from typing import Any, Final

from security.api import DEFAULT_PLAN, IS_NAME, PRIORITIES, WEIGHTS, Principal
from security.ids import outside_id
from security.jwt.api import BadToken, Terms

Claims = Mapping[str, Any]

LATEST: Final = 1 << 40
"""Seconds: no time of a token is later. Numbers as large as JSON has them could not be counted with."""
ALL_MODELS: Final = "*"


def find(claims: Claims, path: str) -> object:
    """A claim of that very name, or else where its dots lead; None if there is none."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def judge(claims: Claims, terms: Terms, now: float) -> tuple[Principal, float]:
    """Whose a token is, and until when (Unix seconds) it is good. Raises BadToken. `now` is Unix time."""
    ends = _time(claims, "exp", None) + terms.leeway
    if now >= ends:
        raise BadToken("expired")
    if now + terms.leeway < max(_time(claims, "nbf", 0.0), _time(claims, "iat", 0.0)):
        raise BadToken("early")
    for path, allowed in terms.required.items():
        held = _listed(find(claims, path))
        if not any(type(one) is type(value) and one == value for one in held for value in allowed):
            raise BadToken("claims")
    return _principal(claims, terms), ends


def _principal(claims: Claims, terms: Terms) -> Principal:
    names = terms.names
    subject = find(claims, names.subject)
    key_id = outside_id("jwt", subject) if isinstance(subject, str) else None
    tenant = find(claims, names.tenant) if names.tenant else terms.tenant
    if key_id is None or not isinstance(tenant, str) or not IS_NAME(tenant):
        raise BadToken("claims")
    return Principal(
        key_id,
        tenant,
        _models(claims, names.models),
        terms.scopes & _words(find(claims, names.scopes)) if names.scopes else terms.scopes,
        _number(claims, names.weight, WEIGHTS, 1),
        _number(claims, names.priority, PRIORITIES, 0),
        _plan(claims, names.plan),
    )


def _time(claims: Claims, name: str, default: float | None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise BadToken("claims")
    return float(value)


def _number(claims: Claims, path: str | None, allowed: range, default: int) -> int:
    value = find(claims, path) if path else None
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise BadToken("claims")
    return value


def _plan(claims: Claims, path: str | None) -> str:
    value = find(claims, path) if path else None
    if value is None:
        return DEFAULT_PLAN
    if not isinstance(value, str) or not IS_NAME(value):
        raise BadToken("claims")
    return intern(value)


def _models(claims: Claims, path: str | None) -> frozenset[str] | None:
    """Without the claim none, as nobody has said which; a star stands for all."""
    if path is None:
        return None
    named = _words(find(claims, path))
    return None if ALL_MODELS in named else named


def _words(value: object) -> frozenset[str]:
    """A list of them, or one string with spaces between, as OAuth writes scopes."""
    return frozenset(word for one in _listed(value) if isinstance(one, str) for word in one.split())


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]

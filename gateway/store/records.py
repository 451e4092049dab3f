"""What is kept of tenants, keys and changes, as those who run the gateway see it; knows nothing of SQL."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from security.api import IS_NAME, PRIORITIES, SCOPES, WEIGHTS

_MODEL = re.compile(r"[\x21-\x7e]{1,257}").fullmatch
PAGE: Final = 1000
"""Most rows of one answer."""
LABEL: Final = 128
LONGEST: Final = 10_000_000_000
"""Seconds in three centuries: most that a key may be good for."""


class RegistryError(Exception):
    """What is asked for can't be, in a sentence for people. `field`: what was given that it is about, or ""."""

    def __init__(self, words: str, field: str = "") -> None:
        super().__init__(words)
        self.field = field


class NotThere(RegistryError):
    """This database has no such tenant or key; another may."""


class Conflict(RegistryError):
    """It could be, but for what is there: the name is taken, the key has ended."""


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays, and what is theirs. `models` None: all of them."""

    name: str
    plan: str = "default"
    weight: int = 1
    priority: int = 0
    models: list[str] | None = None
    created: int = 0


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. Times in Unix seconds; `used` is late by up to a quarter of a minute."""

    id: str
    tenant: str
    label: str = ""
    scopes: list[str] = msgspec.field(default_factory=lambda: [SCOPES[0]])
    models: list[str] | None = None
    created: int = 0
    expires: int | None = None
    revoked: int | None = None
    used: int | None = None


class Actor(msgspec.Struct, frozen=True):
    """Who makes a change: a key's id, or `cli:<user>@<host>` with direct access; and the address asked from."""

    name: str
    address: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A change, as the audit trail keeps it: `before` None for what is new. Numbers rise in the order of changes."""

    id: int
    at: int
    actor: str
    address: str
    action: str
    kind: str
    object: str
    before: dict[str, Any] | None
    after: dict[str, Any]


def check_tenant(tenant: Tenant) -> None:
    """Raises RegistryError."""
    check_name(tenant.name, "name")
    check_name(tenant.plan, "plan")
    if tenant.weight not in WEIGHTS:
        raise RegistryError("A weight is a whole number from 1 to 1000.", "weight")
    if tenant.priority not in PRIORITIES:
        raise RegistryError("A priority is a whole number from -100 to 100.", "priority")
    _check_models(tenant.models)


def check_key(key: Key) -> None:
    """Raises RegistryError."""
    if len(key.label) > LABEL or not key.label.isprintable():
        raise RegistryError("A label takes at most 128 printable characters.", "label")
    if unknown := set(key.scopes) - set(SCOPES):
        raise RegistryError(f"There is no scope {min(unknown)}; there are {', '.join(SCOPES)}.", "scopes")
    if len(set(key.scopes)) != len(key.scopes):
        raise RegistryError("A scope is named once.", "scopes")
    _check_models(key.models)


def check_seconds(seconds: float, least: int, field: str) -> None:
    """Raises RegistryError."""
    if not least <= seconds <= LONGEST:
        raise RegistryError(f"Takes {least} to {LONGEST} seconds.", field)


def check_name(name: str, field: str) -> None:
    """Raises RegistryError."""
    if not IS_NAME(name):
        whose = "plan" if field == "plan" else "tenant"
        words = f"A {whose}'s name takes 1 to 64 letters, digits and any of . _ -, a letter or digit first."
        raise RegistryError(words, field)


def _check_models(models: list[str] | None) -> None:
    if models is not None and not all(map(_MODEL, models)):
        raise RegistryError("Models are named by printable ASCII characters without spaces.", "models")

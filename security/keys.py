"""What a key looks like: `sk-snow-<id>-<secret>`; the id may be shown and logged, the secret only its owner has."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_LETTERS: Final = string.ascii_letters + string.digits
_SECRET: Final = 40
"""Characters of the secret: 238 bits, so a plain hash protects it; a slow one would only slow us down."""
_FORM: Final = re.compile(rb"sk-snow-([0-9a-f]{12})-[A-Za-z0-9]{40}").fullmatch


@dataclass(slots=True, frozen=True)
class NewKey:
    """A key just made: the only time that it is known as a whole."""

    id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        return digest(self.text.encode())


def mint(random_id: Callable[[int], str] = secrets.token_hex, choose: Callable[[str], str] = secrets.choice) -> NewKey:
    """A key that nobody has had before."""
    key_id = random_id(6)
    return NewKey(key_id, f"sk-snow-{key_id}-{''.join(choose(_LETTERS) for _ in range(_SECRET))}")


def digest(key: bytes) -> bytes:
    """32 bytes. Looking up by it tells an attacker's clock nothing of what is kept: it can't be chosen bit by bit."""
    return hashlib.sha256(key).digest()


def key_id(key: bytes) -> str | None:
    """The id in a key, None if it has not the form of one."""
    found = _FORM(key)
    return found[1].decode() if found else None

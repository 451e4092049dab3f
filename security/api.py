"""Who asks, as the rest of the product sees it; and what stands between a key and the place where keys are kept."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

SCOPES: Final = ("inference", "routing", "viewer", "operator", "admin")
"""What a key may be good for: to call models, and to say where its calls go; to look at, to steer, to rule the gateway
itself.
"""

IS_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch
"""What names of tenants and plans are like."""
WEIGHTS, PRIORITIES = range(1, 1001), range(-100, 101)
"""Which a tenant may have."""
DEFAULT_PLAN: Final = "default"
"""The plan of who is on none."""

Headers = Mapping[bytes, bytes]
"""A request's, by lower-case name."""


class Unauthenticated(Exception):
    """No key, or none that is good now. `sent`: whether there was one at all."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__()
        self.sent = sent


class Unvouched(Unauthenticated):
    """The same where a service mesh is to say who asks. `sent`: whether one that is trusted said anybody."""


class Forbidden(Exception):
    """Who asks is known, but not for this: they lack `scope`."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class StoreAway(Exception):
    """Where keys are kept can't be asked now; `reason` names the kind of failure, never what was asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True, frozen=True)
class Principal:
    """Who asks, and what is theirs. `models` None: all of them; `weight` is a share among those who wait.

    `plan`: by what name the limits are known that bind the tenant.
    """

    key_id: str
    tenant: str
    models: frozenset[str] | None
    scopes: frozenset[str]
    weight: int
    priority: int
    plan: str = DEFAULT_PLAN

    @property
    def rank(self) -> Literal[0, 1, 2]:
        """The highest class of their requests: critical where the priority is above 0, standard, batch below."""
        return 1 if self.priority == 0 else 0 if self.priority > 0 else 2

    def require(self, scope: str) -> None:
        """Raises Forbidden."""
        if scope not in self.scopes:
            raise Forbidden(scope)


@dataclass(slots=True, frozen=True)
class Grant:
    """A key as it is kept: SHA-256 of the whole key, and until when (Unix seconds) it is good; 0 once revoked."""

    digest: bytes
    ends: float
    principal: Principal


@dataclass(slots=True, frozen=True)
class Changes:
    """The number of the last change to anything kept, and every grant that changed since an earlier number."""

    revision: int
    grants: Sequence[Grant] = ()


class KeyStore(Protocol):
    """Where keys are kept. Each call raises StoreAway, within a few seconds, if there is no answer."""

    async def open(self) -> None:
        """What has to be done before the first question."""
        ...

    async def find_many(self, key_ids: Collection[str]) -> Mapping[str, Grant]:
        """By id, without those that there never were."""
        ...

    async def changes(self, since: int | None) -> Changes:
        """Without `since`, the number alone. Numbers rise in the order in which changes become visible.

        A lower one than `since` means that the database is not the one that was asked before.
        """
        ...

    async def note_uses(self, uses: Mapping[str, int]) -> None:
        """When (Unix seconds) keys, by their id, were used last."""
        ...

    async def aclose(self) -> None: ...


class Authenticator(Protocol):
    """Tells from a request's headers who asks: at once if that is known, else by asking where it is kept."""

    def recall(self, headers: Headers) -> Principal | None:
        """None: `learn` has to be awaited. Raises Unauthenticated or StoreAway."""
        ...

    async def learn(self, headers: Headers) -> Principal:
        """Raises Unauthenticated or StoreAway."""
        ...

    @property
    def trouble(self) -> str:
        """What is wrong with where keys are kept, for people; "" if nothing is."""
        ...

    @property
    def able(self) -> bool:
        """Whether anybody can be let in, trouble or not."""
        ...

    async def start(self) -> None:
        """Raises StoreAway, with a reason for people, if it can never work."""
        ...

    async def watch(self) -> None:
        """Keep what is known current, until cancelled."""
        ...

    async def aclose(self) -> None: ...

"""Tenants, keys, their changes and what they used, as commands ask for them, whoever keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.store.records import Entry, Key, Tenant
from gateway.store.spending import Seen, Sum, Wanted
from security.keys import NewKey


class Book(Protocol):
    """Every method raises Trouble; lists are whole. `terms` are fields as the admin listener takes them in a body."""

    def tenants(self) -> list[Tenant]:
        """By name."""
        ...

    def create_tenant(self, name: str, **terms: Any) -> Tenant:
        """With those of plan, weight, priority and models that are given."""
        ...

    def change_tenant(self, name: str, **terms: Any) -> Tenant:
        """Those of plan, weight, priority and models that are given."""
        ...

    def plans(self) -> Mapping[str, Any]:
        """What was said of each plan that holds, as an entry of the file without its name."""
        ...

    def keys(self, tenant: str | None) -> list[Key]:
        """By id; of one tenant, or of all."""
        ...

    def create_key(self, tenant: str, **terms: Any) -> tuple[Key, NewKey]:
        """With those of label, scopes, models and expires_in (seconds) that are given."""
        ...

    def revoke_key(self, key_id: str) -> Key: ...

    def rotate_key(self, key_id: str, overlap: int) -> tuple[Key, NewKey]:
        """`overlap`: seconds for which the old one goes on."""
        ...

    def audit(self, after: int, of: str | None) -> list[Entry]:
        """The changes behind number `after`, the newest last; of one tenant or key, or of all."""
        ...

    def usage(self, by: Sequence[str], of: Wanted, tell: Callable[[list[Sum]], None]) -> None:
        """`tell` gets what requests have used, parted by those of FIELDS: in their order, some at a time."""
        ...

    def requests(self, of: Wanted, tell: Callable[[list[Seen]], None]) -> None:
        """The same of each request that is kept still, by time."""
        ...

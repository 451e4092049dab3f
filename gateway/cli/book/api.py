"""Tenants, keys and their changes, as commands ask for them, whoever keeps them."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.store.records import Entry, Key, Tenant
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

"""The admin listener of a running gateway, asked for its tenants and keys: nobody needs its database for that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from gateway.cli.remote import Remote
from gateway.cli.trouble import Trouble
from gateway.store.records import PAGE, Entry, Key, Tenant
from gateway.store.spending import Seen, Sum, Wanted
from security.keys import NewKey

T = TypeVar("T")


class _Page(msgspec.Struct):
    """`next`: what to ask on with; None on the last one."""

    data: list[Any]
    next: str | int | None


class _Made(msgspec.Struct):
    """The part of a new key that is told once."""

    id: str
    key: str


class _Plan(msgspec.Struct):
    """The part of a plan that is not the listener's own."""

    name: str
    plan: dict[str, Any]


class _Plans(msgspec.Struct):
    data: list[_Plan]


class AdminBook:
    """A `gateway.cli.book.api.Book`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def __repr__(self) -> str:
        return f"<AdminBook {self._remote.url}>"

    def tenants(self) -> list[Tenant]:
        return self._every("/v1/tenants", Tenant, {})

    def create_tenant(self, name: str, **terms: Any) -> Tenant:
        return self._as(Tenant, self._remote.send("POST", "/v1/tenants", {"name": name, **terms}))

    def change_tenant(self, name: str, **terms: Any) -> Tenant:
        return self._as(Tenant, self._remote.send("PATCH", f"/v1/tenants/{_part('tenant', name)}", terms))

    def plans(self) -> dict[str, Any]:
        found = self._as(_Plans, self._remote.send("GET", "/v1/plans"))
        return {one.name: one.plan for one in found.data}

    def keys(self, tenant: str | None) -> list[Key]:
        return self._every("/v1/keys", Key, {} if tenant is None else {"tenant": tenant})

    def create_key(self, tenant: str, **terms: Any) -> tuple[Key, NewKey]:
        return self._made(self._remote.send("POST", "/v1/keys", {"tenant": tenant, **terms}))

    def revoke_key(self, key_id: str) -> Key:
        return self._as(Key, self._remote.send("POST", f"/v1/keys/{_part('key', key_id)}/revoke"))

    def rotate_key(self, key_id: str, overlap: int) -> tuple[Key, NewKey]:
        return self._made(self._remote.send("POST", f"/v1/keys/{_part('key', key_id)}/rotate", {"overlap": overlap}))

    def audit(self, after: int, of: str | None) -> list[Entry]:
        return self._every("/v1/audit", Entry, {"after": after} | ({} if of is None else {"object": of}))

    def usage(self, by: Sequence[str], of: Wanted, tell: Callable[[list[Sum]], None]) -> None:
        for some in self._pages("/v1/usage", Sum, {"by": ",".join(by), **_asked(of)}):
            tell(some)

    def requests(self, of: Wanted, tell: Callable[[list[Seen]], None]) -> None:
        for some in self._pages("/v1/usage/requests", Seen, _asked(of)):
            tell(some)

    def _every(self, path: str, kind: type[T], query: Mapping[str, str | int]) -> list[T]:
        return [one for page in self._pages(path, kind, query) for one in page]

    def _pages(self, path: str, kind: type[T], query: Mapping[str, str | int]) -> Iterator[list[T]]:
        asked = {**query, "limit": PAGE}
        while True:
            page = self._as(_Page, self._remote.send("GET", f"{path}?{urlencode(asked)}"))
            yield self._as(list[kind], page.data)  # type: ignore[valid-type]  # a type that is a value here
            if page.next is None:
                return
            asked["after"] = page.next

    def _made(self, document: Any) -> tuple[Key, NewKey]:
        made = self._as(_Made, document)
        return self._as(Key, document), NewKey(made.id, made.key)

    def _as(self, kind: type[T], document: Any) -> T:
        try:
            return msgspec.convert(document, kind)
        except msgspec.ValidationError:
            raise Trouble(f"What answers at {self._remote.url} is no admin listener of a Snowshed.") from None


def _asked(of: Wanted) -> dict[str, str]:
    """As the listener calls it."""
    given = {"from": of.first, "to": of.last, "tenant": of.tenant, "key": of.key, "model": of.model}
    return {name: str(value) for name, value in given.items() if value is not None}


def _part(kind: str, name: str) -> str:
    """Of a path: what can't be a name would make it another path. Raises Trouble."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise Trouble(f"There is no {kind} {name}.")
    return name

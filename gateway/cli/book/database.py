"""The configuration's database, changed directly: the way to the first key, and where no gateway runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.cli.book.operator import operator
from gateway.cli.configured import read
from gateway.cli.registry import with_registry
from gateway.store.records import PAGE, Entry, Key, Tenant
from gateway.store.spending import Seen, Sum, Wanted, parted
from security.keys import NewKey

if TYPE_CHECKING:
    from gateway.store.registry import Registry

T = TypeVar("T")


class DatabaseBook:
    """A `gateway.cli.book.api.Book`. `config` names the configuration's file."""

    def __init__(self, config: Path | None) -> None:
        self._config = config

    def __repr__(self) -> str:
        return f"<DatabaseBook of {self._config or 'the default configuration'}>"

    def tenants(self) -> list[Tenant]:
        return with_registry(self._config, lambda them: _every(them.tenants, "name", ""))

    def create_tenant(self, name: str, **terms: Any) -> Tenant:
        tenant = Tenant(name=name, **terms)
        return with_registry(self._config, lambda them: them.create_tenant(tenant, by=operator()), making=True)

    def change_tenant(self, name: str, **terms: Any) -> Tenant:
        return with_registry(self._config, lambda them: them.change_tenant(name, by=operator(), **terms))

    def plans(self) -> dict[str, Any]:
        from gateway.config.plans import said  # with all that a configuration takes

        file = {one.name: said(one) for one in read(self._config).quotas.plans}
        return {**file, **with_registry(self._config, lambda them: them.plans.all())}

    def keys(self, tenant: str | None) -> list[Key]:
        return with_registry(self._config, lambda them: _every(lambda after: them.keys(tenant, after), "id", ""))

    def create_key(self, tenant: str, **terms: Any) -> tuple[Key, NewKey]:
        return with_registry(self._config, lambda them: them.create_key(tenant, by=operator(), **terms))

    def revoke_key(self, key_id: str) -> Key:
        return with_registry(self._config, lambda them: them.revoke_key(key_id, by=operator()))

    def rotate_key(self, key_id: str, overlap: int) -> tuple[Key, NewKey]:
        return with_registry(self._config, lambda them: them.rotate_key(key_id, overlap, by=operator()))

    def audit(self, after: int, of: str | None) -> list[Entry]:
        return with_registry(self._config, lambda them: _every(lambda last: them.audit(last, of=of), "id", after))

    def usage(self, by: Sequence[str], of: Wanted, tell: Callable[[list[Sum]], None]) -> None:
        def page(them: Registry, last: Sum | None) -> Awaitable[list[Sum]]:
            return them.usage.sums(by, of, parted(last, by) if last else [], PAGE)

        with_registry(self._config, lambda them: _tell(partial(page, them), tell))

    def requests(self, of: Wanted, tell: Callable[[list[Seen]], None]) -> None:
        def page(them: Registry, last: Seen | None) -> Awaitable[list[Seen]]:
            return them.usage.rows(of, (last.at, last.id) if last else None, PAGE)

        with_registry(self._config, lambda them: _tell(partial(page, them), tell))


async def _tell(page: Callable[[T | None], Awaitable[list[T]]], tell: Callable[[list[T]], None]) -> None:
    """Page by page: there may be more rows than memory."""
    last: T | None = None
    while some := await page(last):
        tell(some)
        last = some[-1]


async def _every(page: Callable[[Any], Awaitable[list[T]]], order: str, after: Any) -> list[T]:
    """All rows of all pages; `order` is the field by which they come."""
    found: list[T] = []
    while some := await page(attrgetter(order)(found[-1]) if found else after):
        found += some
    return found

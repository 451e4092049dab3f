"""Plans of limits as they are set while the gateway runs, here and by others of the same database: over the file's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from engines.choices import meant
from gateway.config import Config
from gateway.config.entries import Unfit
from gateway.config.plans import check_plan, read_plan
from gateway.config.quotas import DEFAULT, Plan
from gateway.quotas import Quotas
from gateway.store.bounded import BoundedRegistry
from gateway.store.plans import PLAN
from gateway.store.records import Actor, RegistryError

_logger = logging.getLogger("snowshed")


class Planning:
    """Carries plans into the database, and from there over those of the file. Changes raise StoreAway.

    `config`: what holds now, models that were set here among it.
    """

    def __init__(self, registry: BoundedRegistry, quotas: Quotas, config: Callable[[], Config]) -> None:
        self._registry = registry
        self._quotas = quotas
        self._config = config
        self._one_at_a_time = asyncio.Lock()
        self._taken: Mapping[str, Any] = {}  # what was stored
        self._aside: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Planning of {', '.join(self._quotas.entries) or 'nothing'}, {len(self._aside)} aside>"

    async def set(self, name: str, given: Any, *, by: Actor) -> None:
        """In the place of the file's, or of one that was set before. Raises Unfit: then nothing changes."""
        check_plan(read_plan(name, given), self._config())
        await self._registry.ask(lambda them: them.plans.set(name, given, by=by))
        await self.refresh()

    async def clear(self, name: str, *, by: Actor) -> None:
        """So that the file's holds again, if it has one; else nobody may be on it, but for who names none.

        Raises NotThere if none was set, and Conflict for one that tenants are on.
        """
        unused = name not in self._quotas.file and name != DEFAULT
        await self._registry.ask(lambda them: them.plans.clear(name, unused=unused, by=by))
        await self.refresh()

    async def check(self, name: str) -> None:
        """Whether a tenant can be put on this plan. Raises RegistryError if there is none of that name."""
        if not self._quotas.lists(name):
            await self.refresh()  # it may have been set elsewhere a moment ago
        if not self._quotas.lists(name):
            near = meant(name, self._quotas.plans)
            raise RegistryError(f"plan: there is no plan of that name{near or '.'}", "plan")

    async def refresh(self) -> None:
        """Have hold what is stored now. Raises StoreAway; what another release has written is left aside, told once."""
        async with self._one_at_a_time:  # so that no older answer comes after a newer one
            stored = await self._registry.ask(lambda them: them.plans.all())
            if stored == self._taken:
                return
            entries, aside = await asyncio.to_thread(_read, stored)  # many take their time
            self._quotas.lay(entries)
            for name, reason in aside.items():
                if self._aside.get(name) != reason:
                    _logger.error("override left aside", extra={"kind": PLAN, "plan": name, "reason": reason})
            self._taken, self._aside = stored, aside


def _read(stored: Mapping[str, Any]) -> tuple[dict[str, Plan], dict[str, str]]:
    """Those that can be read, and why the others can't. A model that is gone binds nobody, and takes no plan away."""
    read, odd = {}, {}
    for name, given in stored.items():
        try:
            read[name] = read_plan(name, given)
        except Unfit as error:
            odd[name] = str(error)
    return read, odd

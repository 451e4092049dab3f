"""Plans of limits and overrides of them, as they are set while the gateway runs: here, and by others of the same
database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from engines.choices import meant
from gateway.config import Config
from gateway.config.entries import Unfit
from gateway.config.plans import Holder, check_override, check_plan, read_override, read_plan
from gateway.config.quotas import DEFAULT, KeyOverride, Plan, TenantOverride
from gateway.config.shape import dotted
from gateway.config.tree import budget_mistakes
from gateway.overriding import Overrides, section
from gateway.quotas import Quotas
from gateway.store.bounded import BoundedRegistry
from gateway.store.limit_overrides import LIMIT_OVERRIDE
from gateway.store.plans import PLAN
from gateway.store.records import Actor, RegistryError
from gateway.store.registry import Registry
from gateway.store.spending import start_of

_logger = logging.getLogger("snowshed")


class _Stored(NamedTuple):
    """What was given: for plans by name, for overrides by whose they are."""

    plans: Mapping[str, Any]
    overrides: Mapping[tuple[str, str], Any]


class Planning:
    """Carries plans into the database, and from there over those of the file. Changes raise StoreAway.

    `config`: what holds now, models that were set here among it; `wall`: Unix time.
    """

    def __init__(
        self, registry: BoundedRegistry, quotas: Quotas, config: Callable[[], Config],
        wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._quotas = quotas
        self._config = config
        self._wall = wall
        self._one_at_a_time = asyncio.Lock()
        self._taken = _Stored({}, {})
        self._aside: dict[tuple[str, str], str] = {}  # by kind and name

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

    async def override(self, holder: Holder, name: str, given: Any, *, by: Actor) -> None:
        """Lay this over the plan of a tenant, or of a key, by its id: in the place of what was laid before.

        Raises Unfit, and NotThere for who is not in the database but would have to be.
        """
        override, config = read_override(holder, name, given), self._config()
        check_override(override, config)
        if override.until is not None and start_of(override.until) <= self._wall():
            raise Unfit([(("until",), "takes a day that has not begun yet (UTC)")])
        outside = ":" in name if holder == "key" else config.auth.jwt or config.auth.mesh  # has no row of its own

        async def store(them: Registry) -> None:
            if not outside:
                await (them.key(name) if holder == "key" else them.tenant(name))
            await them.limit_overrides.set(holder, name, given, by=by)

        await self._registry.ask(store)
        await self.refresh()

    async def clear_override(self, holder: Holder, name: str, *, by: Actor) -> None:
        """So that the file's holds again, if it has one. Raises NotThere if none was set."""
        await self._registry.ask(lambda them: them.limit_overrides.clear(holder, name, by=by))
        await self.refresh()

    async def check(self, name: str) -> None:
        """Whether a tenant can be put on this plan. Raises RegistryError if there is none of that name."""
        if not self._quotas.lists(name):
            await self.refresh()  # it may have been set elsewhere a moment ago
        if not self._quotas.lists(name):
            near = meant(name, self._quotas.plans)
            raise RegistryError(f"plan: there is no plan of that name{near or '.'}", "plan")

    def warnings(self) -> list[str]:
        """For readiness, which they do not touch: budgets on which some model's requests are not counted.

        What is stored is not refused at a start, when prices may have been taken out of the file.
        """
        config, plans, overrides = self._config(), tuple(self._quotas.plans.values()), self._quotas.overrides
        held = config.quotas.model_copy(update={"plans": plans, "overrides": section(overrides)})
        whose = {
            "plans": [f"plan {plan.name}" for plan in plans],
            "tenants": [f"override of tenant {name}" for name in overrides.tenants],
            "keys": [f"override of key {name}" for name in overrides.keys],
        }
        found = budget_mistakes(config.model_copy(update={"quotas": held}))
        return [_told(whose, path, words) for path, words in found]

    async def refresh(self) -> None:
        """Have hold what is stored now. Raises StoreAway; what another release has written is left aside, told once."""
        async with self._one_at_a_time:  # so that no older answer comes after a newer one
            stored = await self._registry.ask(_stored)
            if stored == self._taken:
                return
            entries, overrides, aside = await asyncio.to_thread(_read, stored)  # many take their time
            self._quotas.lay(entries, overrides)
            for (kind, name), reason in aside.items():
                if self._aside.get((kind, name)) != reason:
                    _logger.error("override left aside", extra={"kind": kind, "plan": name, "reason": reason})
            self._taken, self._aside = stored, aside


def _told(whose: Mapping[str, Sequence[str]], path: Sequence[str | int], words: str) -> str:
    """Of a mistake in the section of quotas: `plan gold: tenant.budgets: chat has no price`."""
    kind, at, *inside = path[1:] if path[0] == "overrides" else path
    return f"{whose[str(kind)][int(at)]}: {dotted(tuple(inside))}: {words.partition(':')[0]}"


async def _stored(them: Registry) -> _Stored:
    return _Stored(await them.plans.all(), await them.limit_overrides.all())


def _read(stored: _Stored) -> tuple[dict[str, Plan], Overrides, dict[tuple[str, str], str]]:
    """Those that can be read, and why the others can't. A model that is gone binds nobody, and takes no plan away."""
    plans: dict[str, Plan] = {}
    tenants: dict[str, TenantOverride] = {}
    keys: dict[str, KeyOverride] = {}
    odd = {}
    for name, given in stored.plans.items():
        try:
            plans[name] = read_plan(name, given)
        except Unfit as error:
            odd[PLAN, name] = str(error)
    for (holder, name), given in stored.overrides.items():
        try:
            override = read_override("tenant" if holder == "tenant" else "key", name, given)
        except Unfit as error:
            odd[LIMIT_OVERRIDE.format(holder=holder), name] = str(error)
            continue
        if isinstance(override, TenantOverride):
            tenants[name] = override
        else:
            keys[name] = override
    return plans, Overrides(tenants, keys), odd

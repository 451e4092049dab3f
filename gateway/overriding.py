"""Single figures that are other for one tenant or key than its plan has them: laid over the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from gateway.config.quotas import Allowance, KeyOverride, Plan, TenantOverride
from gateway.config.quotas import Overrides as Section
from gateway.store.spending import start_of

Origin = Literal["plan", "tenant", "key"]
"""Who says a figure: the plan, or the override of the tenant or of the key."""
BothOverrides: TypeAlias = tuple[TenantOverride | None, KeyOverride | None]
"""Those of a caller's tenant and key."""
Figures = TypeVar("Figures", bound=Allowance)
NEVER: Final = 1 << 62
"""Later than any time in Unix milliseconds."""
SWITCHES: Final = ("enforce", "cut_answers", "without_store")


class Overrides(NamedTuple):
    """By the tenant's name, and by the key's id."""

    tenants: Mapping[str, TenantOverride] = {}
    keys: Mapping[str, KeyOverride] = {}

    def over(self, others: Overrides) -> Overrides:
        """Each holds whole in the place of another one for the same."""
        return Overrides({**others.tenants, **self.tenants}, {**others.keys, **self.keys})

    def at(self, at: int) -> Overrides:
        """Those that have not ended at a time in Unix seconds."""
        return Overrides(
            {name: one for name, one in self.tenants.items() if _ends(one) > at},
            {name: one for name, one in self.keys.items() if _ends(one) > at},
        )

    def ends_ms(self) -> int:
        """When the first of them ends, in Unix milliseconds."""
        ends = [_ends(one) for listed in (self.tenants, self.keys) for one in listed.values()]
        return min(ends, default=NEVER // 1000) * 1000


NONE: Final = Overrides()


def listed(section: Section) -> Overrides:
    """As the configuration's file has them."""
    return Overrides({one.name: one for one in section.tenants}, {one.name: one for one in section.keys})


def section(overrides: Overrides) -> Section:
    """As a configuration's file would have them."""
    return Section(tenants=tuple(overrides.tenants.values()), keys=tuple(overrides.keys.values()))


def laid(plan: Plan, tenant: TenantOverride | None, key: KeyOverride | None) -> Plan:
    """What holds with both, of which the key's is the upper one."""
    changes: dict[str, Any] = {}
    if tenant is not None:
        changes = {name: getattr(tenant, name) for name in SWITCHES if name in tenant.model_fields_set}
        changes["key"] = _laid(plan.key, tenant.key)
        changes["tenant"] = _laid(plan.tenant, tenant.tenant)
        own = {one.model: one for one in tenant.models}
        changes["models"] = (
            *(_laid(one, own.pop(one.model)) if one.model in own else one for one in plan.models),
            *own.values(),
        )
    if key is not None:
        changes["key"] = _laid(changes.get("key", plan.key), key)
    return plan.model_copy(update=changes)


def origin(name: str, holder: str, model: str, tenant: TenantOverride | None, key: KeyOverride | None) -> Origin:
    """Who says the figure of that name (`budgets.day` for a budget's), of the holder's: key, tenant or model."""
    if holder == "key" and key is not None and _says(key, name):
        return "key"
    if tenant is None:
        return "plan"
    parts = tenant.models if holder == "model" else (tenant.key if holder == "key" else tenant.tenant,)
    own = [one for one in parts if holder != "model" or getattr(one, "model", "") == model]
    return "tenant" if any(_says(one, name) for one in own) else "plan"


def _laid(under: Figures, over: Allowance) -> Figures:
    said = {name: getattr(over, name) for name in Allowance.model_fields if name in over.model_fields_set}
    if "budgets" in said:
        of_money = {name: getattr(over.budgets, name) for name in over.budgets.model_fields_set}
        said["budgets"] = under.budgets.model_copy(update=of_money)
    return under.model_copy(update=said)


def _says(allowance: Allowance, name: str) -> bool:
    section, _, period = name.partition(".")
    inside = allowance.budgets.model_fields_set if period else ()
    return section in allowance.model_fields_set and (not period or period in inside)


def _ends(one: TenantOverride | KeyOverride) -> int:
    """In Unix seconds."""
    return NEVER // 1000 if one.until is None else start_of(one.until)

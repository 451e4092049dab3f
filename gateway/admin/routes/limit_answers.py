"""What the admin listener says of the limits that bind somebody, and of how they stand."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.config.plans import Holder
from gateway.overriding import Origin
from security.limits.budget import Period

NamedBy = Literal["tenant", "token", "mesh"]


class SeenLimit(msgspec.Struct):
    """One of a plan's limits. `holder`: whose it is, the `key`'s, the `tenant`'s, or the tenant's for one `model`.

    `limit`: how much may be asked for at once; `remaining`: how much of that now. `full_in`: seconds after which it is
    all of it again, if nobody asks. `in_use`: requests under way, where those are what it bounds; nobody knows when
    they end. `said_by`: the `plan`, or the override of the `tenant` or the `key`.
    """

    holder: str
    model: str
    name: str
    limit: int
    remaining: int
    full_in: float | None
    in_use: int | None
    said_by: Origin


class SeenBudget(msgspec.Struct):
    """What may be spent in a day or a month, in decimals of what prices are in; `spent` with what is held of it.

    Null: nothing is counted yet, and what the ledger has can't be had now. `ends`: when it begins anew (Unix seconds).
    """

    holder: str
    model: str
    period: Period
    limit: str
    spent: str | None
    remaining: str | None
    ends: int
    said_by: Origin


class SeenOverride(msgspec.Struct):
    """What is other for a `tenant` or a `key` than its plan has it: `override` is what was said, as `PUT` takes it."""

    holder: Holder
    name: str
    set_by: Literal["admin", "file"]
    override: dict[str, Any]


class OverrideList(msgspec.Struct):
    """Tenants' first, by name."""

    data: list[SeenOverride]


class SeenLimits(msgspec.Struct):
    """What binds a key, or a tenant with all of its keys (`key` null), whichever models are asked for.

    `plan`: which one holds; null: none. `named`: the one that the tenant, the token or the mesh's entry names; where
    that is not listed, `default` holds, if that is. `enforced`: whether anybody is refused. `store`: limits are counted
    in this process (`local`) or by all `gateways` together (`shared`); `away`: they can't be asked about, and stand as
    told last and used here since. Then `without_store` says what holds. `overrides`: those that are laid over the plan.
    """

    key: str | None
    tenant: str
    plan: str | None
    plan_from: Literal["admin", "file"] | None
    named: str
    named_by: NamedBy
    enforced: bool
    without_store: Literal["share", "closed", "open"] | None
    store: Literal["local", "shared", "away"]
    gateways: int
    limits: list[SeenLimit]
    budgets: list[SeenBudget]
    overrides: list[SeenOverride]

"""Plans of limits, and overrides of them, that were set over the admin API: read and checked as the file's are."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.entries import Unfit, is_plain
from gateway.config.mistakes import told_inside
from gateway.config.quotas import KeyOverride, Overrides, Plan, TenantOverride
from gateway.config.shape import Path
from gateway.config.strict_yaml import DEEPEST
from gateway.config.tree import Config, quota_mistakes
from gateway.config.truth import told_apart

Holder = Literal["tenant", "key"]
"""Whose an override is."""
Entry = TypeVar("Entry", bound=BaseModel)


def read_plan(name: str, given: Any) -> Plan:
    """What was given in JSON for this plan, as if it stood in the file. Raises Unfit with every mistake."""
    return _read(Plan, ("plans",), name, given)


def read_override(holder: Holder, name: str, given: Any) -> TenantOverride | KeyOverride:
    """The same of an override: of a tenant by its name, of a key by its id."""
    if holder == "tenant":
        return _read(TenantOverride, ("overrides", "tenants"), name, given)
    return _read(KeyOverride, ("overrides", "keys"), name, given)


def _read(kind: type[Entry], place: Path, name: str, given: Any) -> Entry:
    """`place`: that of the list of such entries, in the section of quotas."""
    if not isinstance(given, dict) or not is_plain(given, DEEPEST):
        raise Unfit([((name,), f"takes settings by name, nested at most {DEEPEST} deep, and numbers that are finite")])
    if "name" in given:
        raise Unfit([((name, "name"), "is said already, by what is set; leave it out")])
    base: Path = ("quotas", *place, 0)
    tree: Any = [{**given, "name": name}]
    for section in reversed(base[:-1]):
        tree = {section: tree}
    entry = told_apart(tree)
    for part in base:
        entry = entry[part]
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        raise Unfit([((name, *path), words) for path, words in told_inside(error, base, tree)]) from None


def said(entry: Plan | KeyOverride) -> dict[str, Any]:
    """What was given for it: the same is read from that."""
    given: dict[str, Any] = entry.model_dump(mode="json", exclude_unset=True, exclude={"name"})
    return given


def check_plan(plan: Plan, config: Config) -> None:
    """Whether it goes with all else that is configured. Raises Unfit, whose paths do not begin with its name."""
    _check({"plans": (plan,), "overrides": Overrides()}, 3, config)


def check_override(override: TenantOverride | KeyOverride, config: Config) -> None:
    """The same of an override, whatever plan it is laid over."""
    alone = Overrides(tenants=(override,)) if isinstance(override, TenantOverride) else Overrides(keys=(override,))
    _check({"plans": (), "overrides": alone}, 4, config)


def _check(alone: dict[str, Any], depth: int, config: Config) -> None:
    """`depth`: of the entry's place, which paths are told without."""
    only = config.model_copy(update={"quotas": config.quotas.model_copy(update=alone)})
    if found := list(quota_mistakes(only)):
        raise Unfit([(path[depth:], words) for path, words in found])

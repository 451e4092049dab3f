"""Plans of limits that were set over the admin API: read and checked as the file's are."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from gateway.config.entries import Unfit, is_plain
from gateway.config.mistakes import told_inside
from gateway.config.quotas import Plan
from gateway.config.strict_yaml import DEEPEST
from gateway.config.tree import Config, quota_mistakes
from gateway.config.truth import told_apart


def read_plan(name: str, given: Any) -> Plan:
    """What was given in JSON for this plan, as if it stood in the file. Raises Unfit with every mistake."""
    if not isinstance(given, dict) or not is_plain(given, DEEPEST):
        raise Unfit([((name,), f"takes settings by name, nested at most {DEEPEST} deep, and numbers that are finite")])
    if "name" in given:
        raise Unfit([((name, "name"), "is said already, by what is set; leave it out")])
    tree = {"quotas": {"plans": [{**given, "name": name}]}}
    try:
        return Plan.model_validate(told_apart(tree)["quotas"]["plans"][0])
    except ValidationError as error:
        base = ("quotas", "plans", 0)
        raise Unfit([((name, *path), words) for path, words in told_inside(error, base, tree)]) from None


def said(plan: Plan) -> dict[str, Any]:
    """What was given for it: `read_plan` reads the same plan from that."""
    given: dict[str, Any] = plan.model_dump(mode="json", exclude_unset=True, exclude={"name"})
    return given


def check_plan(plan: Plan, config: Config) -> None:
    """Whether it goes with all else that is configured. Raises Unfit, whose paths do not begin with its name."""
    alone = config.model_copy(update={"quotas": config.quotas.model_copy(update={"plans": (plan,)})})
    if found := list(quota_mistakes(alone)):
        raise Unfit([(path[3:], words) for path, words in found])

"""Overrides of plans, as commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.cli.output import print_json, print_table
from gateway.cli.plans.table import figures, told

if TYPE_CHECKING:
    from gateway.admin.routes.limit_answers import SeenOverride

HEAD = ("OF", "NAME", "FROM", "UNTIL", "LIMITS")


def print_overrides(found: list[SeenOverride], *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print_table(HEAD, [_row(seen) for seen in found])


def _row(seen: SeenOverride) -> tuple[str, ...]:
    said = seen.override
    limits = figures(said, unlimited=True) if seen.holder == "tenant" else told("key", said, unlimited=True)
    return seen.holder, seen.name, seen.set_by, said.get("until") or "cleared", ", ".join(limits) or "none"

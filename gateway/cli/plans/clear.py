"""`snowshed plans clear`: what the configuration says of a plan holds again."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.plans.naming import path_of
from gateway.cli.plans.table import print_plans


@click.command(epilog=examples("snowshed plans clear gold --key-file operator.key"))
@click.argument("name", metavar="PLAN")
@admin_options
@json_option
def command(*, name: str, access: Access, as_json: bool) -> None:
    """Take back what `plans set` has set about PLAN, and list the plans that hold then.

    If the configuration has that plan, it holds again; else no tenant may be on it.
    """
    from gateway.admin.routes.answers import PlanList

    print_plans(asked(admin(access), path_of(name), PlanList, "DELETE").data, as_json=as_json)

"""`snowshed plans list`: the plans that hold."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.plans.table import print_plans


@click.command(
    epilog=examples("snowshed plans list --key-file viewer.key", "snowshed plans list --json --key-file viewer.key")
)
@admin_options
@json_option
def command(*, access: Access, as_json: bool) -> None:
    """List the plans that hold in a running gateway, who says what each is, and how many tenants are on it."""
    from gateway.admin.routes.answers import PlanList  # with a web framework, which no other command needs

    print_plans(asked(admin(access), "/v1/plans", PlanList).data, as_json=as_json)

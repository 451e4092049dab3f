"""`snowshed plans set`: what a plan allows, in running gateways."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.entry import read_entry
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.plans.naming import path_of
from gateway.cli.plans.table import print_plans


@click.command(epilog=examples("snowshed plans set gold gold.yaml --key-file operator.key"))
@click.argument("name", metavar="PLAN")
@click.argument("file", type=click.Path(path_type=Path))
@admin_options
@json_option
def command(*, name: str, file: Path, access: Access, as_json: bool) -> None:
    """Have PLAN allow what FILE says: a YAML file with an entry of `quotas.plans`, without its name.

    It holds over the configuration, in every gateway of the same database, until it is cleared.
    """
    from gateway.admin.routes.answers import SeenPlan

    seen = asked(admin(access), path_of(name), SeenPlan, "PUT", read_entry(file))
    print_plans([seen], as_json=as_json)

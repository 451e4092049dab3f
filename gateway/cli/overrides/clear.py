"""`snowshed overrides clear`: what the configuration and the plan say holds again."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.overrides.naming import holder_argument, path_of
from gateway.cli.overrides.table import print_overrides


@click.command(epilog=examples("snowshed overrides clear tenant acme --key-file operator.key"))
@holder_argument
@click.argument("name", metavar="NAME")
@admin_options
@json_option
def command(*, holder: str, name: str, access: Access, as_json: bool) -> None:
    """Take back what `overrides set` has set for a tenant or a key, and list the overrides that hold then."""
    from gateway.admin.routes.limit_answers import OverrideList

    print_overrides(asked(admin(access), path_of(holder, name), OverrideList, "DELETE").data, as_json=as_json)

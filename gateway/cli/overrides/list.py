"""`snowshed overrides list`: what is other for single tenants and keys."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.overrides.table import print_overrides


@click.command(
    epilog=examples(
        "snowshed overrides list --key-file viewer.key", "snowshed overrides list --json --key-file viewer.key"
    )
)
@admin_options
@json_option
def command(*, access: Access, as_json: bool) -> None:
    """List the overrides that hold in a running gateway, who says what each is, and until when."""
    from gateway.admin.routes.limit_answers import OverrideList

    print_overrides(asked(admin(access), "/v1/overrides", OverrideList).data, as_json=as_json)

"""`snowshed overrides set`: what a tenant or a key may ask for in the place of what its plan says."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.entry import read_entry
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.overrides.naming import holder_argument, path_of
from gateway.cli.overrides.table import print_overrides


@click.command(
    epilog=examples(
        "snowshed overrides set tenant acme twice.yaml --key-file operator.key",
        "snowshed overrides set key 3f9c2a71b0de more.yaml --key-file operator.key",
    )
)
@holder_argument
@click.argument("name", metavar="NAME")
@click.argument("file", type=click.Path(path_type=Path))
@admin_options
@json_option
def command(*, holder: str, name: str, file: Path, access: Access, as_json: bool) -> None:
    """Lay FILE over the plan of the tenant NAME, or of the key with that id.

    FILE is YAML, an entry of `quotas.overrides.tenants` or `.keys` without its name; what it leaves out stays as the
    plan has it. It holds over the configuration, in every gateway of the same database, until it ends or is cleared.
    """
    from gateway.admin.routes.limit_answers import SeenOverride

    seen = asked(admin(access), path_of(holder, name), SeenOverride, "PUT", read_entry(file))
    print_overrides([seen], as_json=as_json)

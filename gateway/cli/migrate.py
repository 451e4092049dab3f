"""`snowshed migrate`: brings the tables of tenants and keys up to date before a new version is started."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.configured import config_option, read
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, print_json
from gateway.cli.registry import address_of, with_database


@click.command(
    epilog=examples("snowshed migrate --config gateway.yaml", "snowshed migrate --json --config gateway.yaml")
)
@config_option
@json_option
def command(*, config: Path | None, as_json: bool) -> None:
    """Bring the database of tenants and keys up to date.

    A PostgreSQL database, before the first start and before each new version: whoever comes first does it, and the
    others wait. A SQLite file is brought up to date whenever a gateway starts.
    """
    from gateway.store.migrate import upgrade

    before, after = with_database(address_of(read(config)), upgrade)
    if as_json:
        print_json({"before": before, "after": after})
    else:
        since = "as before" if before == after else f"from {before or 'nothing'}"
        click.echo(f"The tables are up to date at {after}, {since}.")

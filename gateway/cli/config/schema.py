"""`snowshed config schema`: what may stand in a configuration, for editors and other machines."""

from __future__ import annotations

import click

from gateway.cli.lazy import examples
from gateway.cli.output import print_json


@click.command(epilog=examples("snowshed config schema > gateway.schema.json"))
def command() -> None:
    """Print the JSON schema of the configuration."""
    from gateway.config.schema import schema

    print_json(schema())

"""`snowshed drain`: no new work for a version or a replica."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.versions import change


@click.command(
    epilog=examples(
        "snowshed drain chat@1 --key-file operator.key",
        "snowshed drain chat-0 --key-file operator.key",
    )
)
@click.argument("name")
@admin_options
@json_option
def command(*, name: str, access: Access, as_json: bool) -> None:
    """Give no new work to the version (MODEL@VERSION) or the replica with this NAME; it finishes what it has.

    A version is drained in every gateway of the same database, until it is restored; its callers get the others. A
    replica is drained in this gateway alone, until it is restored or the gateway ends.
    """
    change(admin(access), name, "drain", as_json=as_json)

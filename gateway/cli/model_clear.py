"""`snowshed model clear`: what the configuration says of a version holds again."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.versions import print_versions, whole


@click.command(epilog=examples("snowshed model clear chat@2 --key-file admin.key"))
@click.argument("name", metavar="MODEL@VERSION")
@admin_options
@json_option
def command(*, name: str, access: Access, as_json: bool) -> None:
    """Take back what `model set` has set about MODEL@VERSION, and show what is left of the model.

    If the configuration has that version, it holds again; else there is none, and what it has begun is finished.
    """
    from gateway.admin.routes.answers import ModelList

    print_versions(asked(admin(access), whole(name), ModelList, "DELETE").data, as_json=as_json)

"""`snowshed restore`: a version or a replica back into service."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.versions import change


@click.command(
    epilog=examples(
        "snowshed restore chat@1 --key-file operator.key",
        "snowshed restore chat-0 --key-file operator.key",
    )
)
@click.argument("name")
@admin_options
@json_option
def command(*, name: str, access: Access, as_json: bool) -> None:
    """Give work again to the version (MODEL@VERSION) or the replica with this NAME: drained, ejected or not trusted."""
    change(admin(access), name, "restore", as_json=as_json)

"""`snowshed eject`: a replica out of service, whatever becomes of the others."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.lifetime import Lifetime
from gateway.cli.output import json_option
from gateway.cli.versions import part, print_replicas


@click.command(
    epilog=examples(
        "snowshed eject chat-0 --key-file operator.key",
        "snowshed eject chat-0 --for 10m --key-file operator.key",
    )
)
@click.argument("name")
@click.option("--for", "seconds", type=Lifetime(), help="How long, such as 10m; without it: until it is restored.")
@admin_options
@json_option
def command(*, name: str, seconds: float | None, access: Access, as_json: bool) -> None:
    """Do not ask the replica with this NAME, in this gateway; afterwards it has to prove itself by one request."""
    from gateway.admin.routes.answers import SeenReplica  # with a web framework, which no other command needs

    path = f"/v1/replicas/{part(name)}/eject"
    print_replicas([asked(admin(access), path, SeenReplica, "POST", {"seconds": seconds})], as_json=as_json)

"""`snowshed replicas`: the model servers of a running gateway, as it sees them."""

from __future__ import annotations

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.versions import print_replicas


@click.command(
    epilog=examples(
        "snowshed replicas --key-file viewer.key",
        "snowshed replicas --json --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@admin_options
@json_option
def command(*, access: Access, as_json: bool) -> None:
    """List the replicas of a running gateway: how each is, and what it is busy with."""
    from gateway.admin.routes.answers import ReplicaList  # with a web framework, which no other command needs

    print_replicas(asked(admin(access), "/v1/replicas", ReplicaList).data, as_json=as_json)

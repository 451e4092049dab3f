"""`snowshed replicas`: the model servers of a running gateway, as it sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.admin import Access, admin, admin_options
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.trouble import Trouble

if TYPE_CHECKING:
    from gateway.admin.routes.answers import SeenReplica

HEAD = ("REPLICA", "MODELS", "STATE", "IN FLIGHT", "CALLS", "FAILURES")


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

    gateway = admin(access)
    document = gateway.get("/v1/replicas")
    try:
        replicas = msgspec.convert(document, ReplicaList).data
    except msgspec.ValidationError:
        raise Trouble(f"What answers at {gateway.url} is no admin listener of a Snowshed.") from None
    if as_json:
        print_json(document["data"])
    else:
        print_table(HEAD, [_row(replica) for replica in replicas])


def _row(seen: SeenReplica) -> tuple[str, ...]:
    failures = ", ".join(f"{kind}: {count}" for kind, count in seen.failures.items() if count) or "-"
    state = "ready" if seen.ready else seen.reason
    return seen.name, ", ".join(seen.models), state, str(seen.in_flight), str(seen.calls), failures

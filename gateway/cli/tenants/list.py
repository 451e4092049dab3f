"""`snowshed tenants list`: every tenant."""

from __future__ import annotations

import click
import msgspec

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.store.records import Tenant

HEAD = ("TENANT", "PLAN", "WEIGHT", "PRIORITY", "MODELS", "SINCE")


@click.command(
    epilog=examples(
        "snowshed tenants list --config gateway.yaml",
        "snowshed tenants list --json --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@book_options
@json_option
def command(*, place: Place, as_json: bool) -> None:
    """List the tenants, and what is theirs."""
    tenants = book_at(place).tenants()
    if as_json:
        print_json(msgspec.to_builtins(tenants))
    else:
        print_table(HEAD, [_row(tenant) for tenant in tenants])


def _row(tenant: Tenant) -> tuple[str, ...]:
    models = "all" if tenant.models is None else ",".join(tenant.models)
    return tenant.name, tenant.plan, str(tenant.weight), str(tenant.priority), models, moment(tenant.created)

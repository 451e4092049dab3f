"""`snowshed tenants list`: every tenant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.configured import config_option
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.cli.registry import with_registry

if TYPE_CHECKING:
    from gateway.store.records import Tenant
    from gateway.store.registry import Registry

HEAD = ("TENANT", "PLAN", "WEIGHT", "PRIORITY", "MODELS", "SINCE")


@click.command(
    epilog=examples("snowshed tenants list --config gateway.yaml", "snowshed tenants list --json --config gateway.yaml")
)
@config_option
@json_option
def command(*, config: Path | None, as_json: bool) -> None:
    """List the tenants, and what is theirs."""
    tenants = with_registry(config, _all)
    if as_json:
        print_json(msgspec.to_builtins(tenants))
    else:
        print_table(HEAD, [_row(tenant) for tenant in tenants])


async def _all(registry: Registry) -> list[Tenant]:
    tenants: list[Tenant] = []
    while page := await registry.tenants(after=tenants[-1].name if tenants else ""):
        tenants += page
    return tenants


def _row(tenant: Tenant) -> tuple[str, ...]:
    models = "all" if tenant.models is None else ",".join(tenant.models)
    return tenant.name, tenant.plan, str(tenant.weight), str(tenant.priority), models, moment(tenant.created)

"""`snowshed tenants create`: a new tenant."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from gateway.cli.configured import config_option
from gateway.cli.lazy import examples
from gateway.cli.registry import with_registry
from gateway.cli.tenants.terms import given, terms_options


@click.command(
    epilog=examples(
        "snowshed tenants create acme --config gateway.yaml",
        "snowshed tenants create acme --plan gold --weight 3 --model chat --model embed --config gateway.yaml",
    )
)
@click.argument("name")
@terms_options
@config_option
def command(
    *, name: str, plan: str | None, weight: int | None, priority: int | None, models: tuple[str, ...],
    config: Path | None,
) -> None:  # fmt: skip
    """Make a tenant, to which keys can then belong."""
    from gateway.cli.operator import operator
    from gateway.store.records import Tenant

    tenant = Tenant(name=name, **given(models, plan=plan, weight=weight, priority=priority))
    with_registry(config, lambda registry: registry.create_tenant(tenant, by=operator()))
    words = ("snowshed", "keys", "create", name, *(("--config", str(config)) if config else ()))
    click.echo(f"Tenant {name} is there; its first key: {shlex.join(words)}", err=True)

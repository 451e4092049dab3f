"""`snowshed tenants create`: a new tenant."""

from __future__ import annotations

import shlex

import click

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.lazy import examples
from gateway.cli.tenants.plan import warn_if_not_listed
from gateway.cli.tenants.terms import given, terms_options


@click.command(
    epilog=examples(
        "snowshed tenants create acme --config gateway.yaml",
        "snowshed tenants create acme --plan gold --weight 3 --model chat --model embed --config gateway.yaml",
        "snowshed tenants create acme --admin-url http://127.0.0.1:8082 --key-file operator.key",
    )
)
@click.argument("name")
@terms_options
@book_options
def command(
    *, name: str, plan: str | None, weight: int | None, priority: int | None, models: tuple[str, ...], place: Place
) -> None:
    """Make a tenant, to which keys can then belong."""
    book_at(place).create_tenant(name, **given(models, plan=plan, weight=weight, priority=priority))
    words = ("snowshed", "keys", "create", name, *place.options)
    click.echo(f"Tenant {name} is there; its first key: {shlex.join(words)}", err=True)
    warn_if_not_listed(plan, place)

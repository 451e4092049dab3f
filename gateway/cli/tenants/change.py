"""`snowshed tenants change`: other terms for a tenant."""

from __future__ import annotations

import click

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.lazy import examples
from gateway.cli.tenants.plan import warn_if_not_listed
from gateway.cli.tenants.terms import given, terms_options
from gateway.cli.trouble import Mistake


@click.command(
    epilog=examples(
        "snowshed tenants change acme --weight 5 --config gateway.yaml",
        "snowshed tenants change acme --all-models --config gateway.yaml",
        "snowshed tenants change acme --plan gold --admin-url http://127.0.0.1:8082 --key-file operator.key",
    )
)
@click.argument("name")
@terms_options
@click.option("--all-models", is_flag=True, help="Let it call every model again.")
@book_options
def command(  # noqa: PLR0913  # an option each
    *, name: str, plan: str | None, weight: int | None, priority: int | None, models: tuple[str, ...],
    all_models: bool, place: Place,
) -> None:  # fmt: skip
    """Change what is given; its keys follow within five seconds."""
    changes = given(models, plan=plan, weight=weight, priority=priority) | ({"models": None} if all_models else {})
    if not changes:
        raise Mistake("There is nothing to change: see snowshed tenants change --help.")
    book_at(place).change_tenant(name, **changes)
    click.echo(f"Tenant {name} is changed; everywhere within five seconds.", err=True)
    warn_if_not_listed(plan, place)

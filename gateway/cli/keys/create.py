"""`snowshed keys create`: a new key for a tenant."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.configured import config_option, read
from gateway.cli.keys.new import hand_over
from gateway.cli.lazy import examples
from gateway.cli.lifetime import Lifetime
from gateway.cli.output import json_option
from gateway.cli.registry import with_registry


@click.command(
    epilog=examples(
        "snowshed keys create acme --config gateway.yaml",
        "snowshed keys create acme --label ci --model chat --expires 90d --config gateway.yaml",
        'SNOWSHED_API_KEY="$(snowshed keys create acme --config gateway.yaml)" snowshed chat hello',
    )
)
@click.argument("tenant")
@click.option("--label", default="", metavar="TEXT", help="What it is for, shown in the list.")
@click.option("--scope", "scopes", multiple=True, metavar="NAME", help="What it may do; without one: inference.")
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="A model it may call; without one: its tenant's."
)
@click.option("--expires", type=Lifetime(), help="How long it is good, such as 90d; without it: until it is revoked.")
@config_option
@json_option
def command(  # noqa: PLR0913  # an option each
    *, tenant: str, label: str, scopes: tuple[str, ...], models: tuple[str, ...], expires: float | None,
    config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a key for TENANT, and print it this once.

    It works at once, in every gateway of this database.
    """
    from gateway.cli.operator import operator

    key, new = with_registry(
        config,
        lambda registry: registry.create_key(
            tenant, label, by=operator(), scopes=list(scopes) or None, models=list(models) or None,
            expires_in=expires,
        ),
    )  # fmt: skip
    hand_over(key, new, f"Key {key.id} of {tenant}.", as_json=as_json)
    if read(config).auth.kind == "none":
        click.echo("The gateway does not ask for keys yet: auth.kind is none in its configuration.", err=True)

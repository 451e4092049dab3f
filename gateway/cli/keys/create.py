"""`snowshed keys create`: a new key for a tenant."""

from __future__ import annotations

import click

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.configured import read
from gateway.cli.keys.new import hand_over
from gateway.cli.lazy import examples
from gateway.cli.lifetime import Lifetime
from gateway.cli.output import json_option


@click.command(
    epilog=examples(
        "snowshed keys create acme --config gateway.yaml",
        "snowshed keys create acme --label ci --model chat --expires 90d --config gateway.yaml",
        "snowshed keys create acme --scope operator --config gateway.yaml > operator.key",
        "snowshed keys create acme --admin-url http://127.0.0.1:8082 --key-file operator.key",
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
@book_options
@json_option
def command(  # noqa: PLR0913  # an option each
    *, tenant: str, label: str, scopes: tuple[str, ...], models: tuple[str, ...], expires: float | None, place: Place,
    as_json: bool,
) -> None:  # fmt: skip
    """Make a key for TENANT, and print it this once.

    It works at once, in every gateway of this database.
    """
    terms = {
        "label": label, "scopes": list(scopes), "models": list(models),
        "expires_in": None if expires is None else int(expires),
    }  # fmt: skip
    key, new = book_at(place).create_key(
        tenant, **{name: value for name, value in terms.items() if value not in (None, "", [])}
    )
    hand_over(key, new, f"Key {key.id} of {tenant}.", as_json=as_json)
    if not place.is_remote and (kind := read(place.config).auth.kind) != "keys":
        click.echo(f"The gateway does not ask for keys yet: auth.kind is {kind} in its configuration.", err=True)

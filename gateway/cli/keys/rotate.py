"""`snowshed keys rotate`: a new key in an old one's place."""

from __future__ import annotations

import click

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.keys.new import hand_over
from gateway.cli.lazy import examples
from gateway.cli.lifetime import Lifetime
from gateway.cli.output import json_option


@click.command(
    epilog=examples(
        "snowshed keys rotate 3f9c2a71b0de --config gateway.yaml",
        "snowshed keys rotate 3f9c2a71b0de --overlap 7d --config gateway.yaml",
    )
)
@click.argument("key_id", metavar="ID")
@click.option("--overlap", type=Lifetime(), default="24h", show_default=True, help="How long the old one goes on.")
@book_options
@json_option
def command(*, key_id: str, overlap: float, place: Place, as_json: bool) -> None:
    """Make a new key with the rights of the one with this ID, which ends after the overlap."""
    key, new = book_at(place).rotate_key(key_id, int(overlap))
    hand_over(key, new, f"Key {key.id} of {key.tenant}, in the place of {key_id}.", as_json=as_json)

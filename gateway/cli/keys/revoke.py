"""`snowshed keys revoke`: the end of a key."""

from __future__ import annotations

import click

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.lazy import examples


@click.command(
    epilog=examples(
        "snowshed keys revoke 3f9c2a71b0de --config gateway.yaml",
        "snowshed keys revoke 3f9c2a71b0de --admin-url http://127.0.0.1:8082 --key-file operator.key",
    )
)
@click.argument("key_id", metavar="ID")
@book_options
def command(*, key_id: str, place: Place) -> None:
    """Revoke the key with this ID, for good.

    It is refused everywhere within five seconds; what it has begun is finished.
    """
    key = book_at(place).revoke_key(key_id)
    click.echo(f"Key {key.id} of {key.tenant} is revoked; everywhere within five seconds.", err=True)

"""`snowshed keys list`: every key, without its secret."""

from __future__ import annotations

import time

import click
import msgspec

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.store.records import Key

HEAD = ("ID", "TENANT", "STATE", "SCOPES", "MODELS", "EXPIRES", "LAST USED", "LABEL")


@click.command(
    epilog=examples(
        "snowshed keys list --config gateway.yaml",
        "snowshed keys list --tenant acme --config gateway.yaml",
        "snowshed keys list --json --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@click.option("--tenant", metavar="NAME", help="Only those of one tenant.")
@book_options
@json_option
def command(*, tenant: str | None, place: Place, as_json: bool) -> None:
    """List the keys: what they may do, and whether they are good."""
    keys = book_at(place).keys(tenant)
    now = time.time()
    if as_json:
        print_json([{**msgspec.to_builtins(key), "state": _state(key, now)} for key in keys])
    else:
        print_table(HEAD, [_row(key, now) for key in keys])


def _row(key: Key, now: float) -> tuple[str, ...]:
    scopes, models = ",".join(key.scopes), "all" if key.models is None else ",".join(key.models)
    return (
        key.id, key.tenant, _state(key, now), scopes, models, moment(key.expires, "never"), moment(key.used, "never"),
        key.label,
    )  # fmt: skip


def _state(key: Key, now: float) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= now else "good"

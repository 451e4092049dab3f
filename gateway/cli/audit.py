"""`snowshed audit`: who changed what, and when."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.store.records import Entry

HEAD = ("NUMBER", "TIME", "WHO", "FROM", "WHAT", "CHANGED")
KNOWN = {"id", "name", "created"}
"""Fields that other columns tell."""
TIMES = {"expires", "revoked", "used"}


@click.command(
    epilog=examples(
        "snowshed audit --config gateway.yaml",
        "snowshed audit --about 3f9c2a71b0de --config gateway.yaml",
        "snowshed audit --after 1200 --json --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@click.option("--about", metavar="NAME", help="Only changes of what has this name; of a key, its ID.")
@click.option("--after", type=click.IntRange(0, 2**63 - 1), default=0, metavar="NUMBER", help="Only those behind it.")
@book_options
@json_option
def command(*, about: str | None, after: int, place: Place, as_json: bool) -> None:
    """List the changes of tenants, keys, versions and replicas, the newest last.

    Who: the ID of a key, or cli:USER@HOST for a command that changed the database directly.
    """
    entries = book_at(place).audit(after, about)
    if as_json:
        print_json(msgspec.to_builtins(entries))
    else:
        print_table(HEAD, [_row(entry) for entry in entries])


def _row(entry: Entry) -> tuple[str, ...]:
    what = f"{entry.action} {entry.kind} {entry.object}"
    return str(entry.id), moment(entry.at), entry.actor, entry.address or "-", what, _changed(entry)


def _changed(entry: Entry) -> str:
    """Field by field; of what is new, all that it was given."""
    before, after = entry.before, entry.after
    if before is None:
        given = {name: value for name, value in after.items() if name not in KNOWN and value not in (None, "")}
        return ", ".join(f"{name}: {_told(name, value)}" for name, value in given.items())
    changed = [name for name in {**before, **after} if after.get(name) != before.get(name)]
    return ", ".join(f"{name}: {_told(name, before.get(name))} > {_told(name, after.get(name))}" for name in changed)


def _told(name: str, value: Any) -> str:
    if value is None:
        return "all" if name == "models" else "-"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return moment(value) if name in TIMES else str(value).removesuffix(".0")

"""`snowshed usage`: what requests have used, and what that costs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import IO, Any

import click
import msgspec

from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.trouble import Mistake, Trouble
from gateway.store.spending import COUNTS, FIELDS, Seen, Wanted, in_order

USUAL = "day,tenant,model"


def _day(_context: click.Context, _option: click.Parameter, given: datetime | None) -> date | None:
    return given.date() if given else None


def _day_option(name: str, field: str, text: str) -> Callable[..., Any]:
    return click.option(name, field, type=click.DateTime(["%Y-%m-%d"]), callback=_day, metavar="DAY", help=text)


@click.command(
    epilog=examples(
        "snowshed usage --config gateway.yaml",
        "snowshed usage --by tenant --from 2027-01-01 --to 2027-01-31 --config gateway.yaml",
        "snowshed usage --requests --csv usage.csv --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@click.option("--by", metavar="FIELDS", help=f"What to part sums by, of {','.join(FIELDS)}; else {USUAL}.")
@_day_option("--from", "first", "Only requests that came in on this day (UTC) or later, as in 2027-01-31.")
@_day_option("--to", "last", "Only those of this day or before.")
@click.option("--tenant", metavar="NAME", help="Only those of this tenant.")
@click.option("--key", metavar="ID", help="Only those of this key.")
@click.option("--model", metavar="NAME", help="Only those for this model.")
@click.option("--requests", is_flag=True, help="Each request in place of sums, as far back as they are kept.")
@click.option(
    "--csv", "file", type=click.File("w", encoding="utf-8", lazy=True), metavar="FILE",
    help="Write CSV there, or to standard output for -, as it comes.",
)  # fmt: skip
@book_options
@json_option
def command(*, by: str | None, requests: bool, file: IO[str] | None, place: Place, as_json: bool, **of: Any) -> None:
    """Show how many requests there were, their tokens, and what they cost.

    Costs are in the currency that the prices in the configuration are in.
    """
    fields = list(Seen.__struct_fields__) if requests else [*_parts(by or USUAL), *COUNTS]
    if requests and by:
        raise Mistake("--by is about sums, and --requests shows none.")
    if file and as_json:
        raise Mistake("--csv and --json can't both be had.")
    book, wanted = book_at(place), Wanted(**of)
    ask = partial(book.requests, wanted) if requests else partial(book.usage, fields[: -len(COUNTS)], wanted)
    if file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(fields)
        ask(lambda some: _write(out, [_cells(one, fields) for one in some]))
        return
    found: list[Any] = []
    ask(found.extend)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print_table([field.replace("_", " ").upper() for field in fields], [_cells(one, fields) for one in found])


def _parts(by: str) -> list[str]:
    """Raises Mistake."""
    given = [field.strip() for field in by.split(",")]
    if unknown := [field for field in given if field not in FIELDS]:
        raise Mistake(f"--by takes some of {','.join(FIELDS)}, not {unknown[0]}.")
    return in_order(given)


def _write(out: Any, rows: list[list[str]]) -> None:
    """Raises Trouble: whoever asks would take it for the database's."""
    try:
        out.writerows(rows)
    except OSError as error:
        raise Trouble(f"The CSV can't be written: {error.strerror}") from None


def _cells(one: Any, fields: list[str]) -> list[str]:
    return [_told(field, getattr(one, field)) for field in fields]


def _told(field: str, value: Any) -> str:
    if field == "at":
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(value).lower() if isinstance(value, bool) else str(value)

"""What a command prints: tables for people, JSON for machines, and nothing that could steer a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")

_STEERING = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in b"\n\t"}


def harmless(text: str) -> str:
    """Text from elsewhere without control characters: a terminal would obey them."""
    return text.translate(_STEERING)


def print_json(document: Any) -> None:
    """One document, indented."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns side by side under bold heads."""
    heads, *others = table(head, rows)
    click.secho(heads, bold=True)
    for line in others:
        click.echo(line)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The same as lines, the heads first."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [_row(head, widths), *(_row([harmless(cell) for cell in row], widths) for row in rows)]


def moment(unix: Any, never: str = "") -> str:
    """Unix seconds as a time of day; `never` for what is none."""
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M:%S} UTC" if isinstance(unix, int) else never


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

"""A key that was just made: the only time that its secret is seen."""

from __future__ import annotations

import click
import msgspec

from gateway.cli.output import print_json
from gateway.store.records import Key
from security.keys import NewKey


def hand_over(key: Key, new: NewKey, words: str, *, as_json: bool) -> None:
    """The key alone on standard output, so that a shell can take it; `words` for people on standard error."""
    if as_json:
        print_json({"key": new.text, **msgspec.to_builtins(key)})
        return
    click.echo(new.text)
    click.secho(f"{words} It is shown this once and kept nowhere.", dim=True, err=True)

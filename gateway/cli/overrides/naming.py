"""Whose an override is, and where it is found in the admin listener."""

from __future__ import annotations

import click

from gateway.cli.trouble import Mistake
from gateway.cli.versions import part
from security.api import IS_NAME
from security.keys import key_id

holder_argument = click.argument("holder", metavar="tenant|key", type=click.Choice(("tenant", "key")))


def path_of(holder: str, name: str) -> str:
    """Raises Mistake for what can't be its name: it would be another path, or could be read by others."""
    if holder == "tenant" and not IS_NAME(name):
        raise Mistake(f"{name}: takes a tenant's name: letters, digits and ._-, the first of them no sign.")
    if key_id(name.encode()):
        raise Mistake("NAME takes a key's id, the twelve characters behind sk-snow-: arguments can be read by others.")
    return f"/v1/overrides/{holder}s/{part(name)}"

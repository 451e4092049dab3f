"""`snowshed version`: what is running here."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from gateway.cli.lazy import examples
from gateway.cli.output import json_option, print_json
from gateway.version import VERSION

PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "pydantic", "msgspec")
"""Those whose version a report of a bug should name."""


@click.command(epilog=examples("snowshed version", "snowshed version --json"))
@json_option
def command(*, as_json: bool) -> None:
    """Say which version this is."""
    if not as_json:
        click.echo(f"snowshed {VERSION}")
        return
    print_json(
        {
            "version": VERSION,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: metadata.version(name) for name in PACKAGES},
        }
    )

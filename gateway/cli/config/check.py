"""`snowshed config check`: every mistake of a configuration at once."""

from __future__ import annotations

from pathlib import Path

import click

from engines.credentials import SecretReference
from gateway.cli.configured import config_option, read
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, print_json
from gateway.cli.trouble import Mistake


@click.command(
    epilog=examples(
        "snowshed config check --config gateway.yaml",
        "SNOWSHED_SERVER__PORT=9000 snowshed config check --config gateway.yaml",
    )
)
@config_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, config: Path | None, as_json: bool) -> None:
    """Check the configuration, and that what it refers to is there.

    The file and the environment are read as `serve` reads them; secrets, certificates, models and libraries on
    this machine are looked for. Nothing is started or asked: `doctor` does that. Exit status 2 if there is a mistake.
    """
    from gateway.config.doubts import check_doubts
    from gateway.config.errors import ConfigError
    from gateway.config.sources import check_sources

    mistakes = ""
    try:
        settings = read(config)
        check_sources(settings)
        check_doubts(settings)
        if settings.quotas.store is not None:
            _check_store(settings.quotas.store)
    except ConfigError as error:
        mistakes = str(error)
    except Mistake as mistake:
        mistakes = mistake.message
    if as_json:
        print_json({"ok": not mistakes, "mistakes": mistakes.splitlines()})
        ctx.exit(2 if mistakes else 0)
    if mistakes:
        raise Mistake(mistakes)
    click.echo(f"{config or 'The default configuration'}: no mistakes")


def _check_store(store: SecretReference) -> None:
    """Raises Mistake if its URL is none."""
    from gateway.limiting import store_client

    try:
        store_client(store)
    except ValueError as error:
        raise Mistake(f"what the configuration refers to:\n  quotas.store: {error}") from None

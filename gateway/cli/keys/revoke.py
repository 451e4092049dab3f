"""`snowshed keys revoke`: the end of a key."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.configured import config_option
from gateway.cli.lazy import examples
from gateway.cli.registry import with_registry


@click.command(epilog=examples("snowshed keys revoke 3f9c2a71b0de --config gateway.yaml"))
@click.argument("key_id", metavar="ID")
@config_option
def command(*, key_id: str, config: Path | None) -> None:
    """Revoke the key with this ID, for good.

    It is refused everywhere within five seconds; what it has begun is finished.
    """
    from gateway.cli.operator import operator

    key = with_registry(config, lambda registry: registry.revoke_key(key_id, by=operator()))
    click.echo(f"Key {key.id} of {key.tenant} is revoked; everywhere within five seconds.", err=True)

"""`snowshed keys list`: every key, without its secret."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.configured import config_option
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.cli.registry import with_registry

if TYPE_CHECKING:
    from gateway.store.records import Key
    from gateway.store.registry import Registry

HEAD = ("ID", "TENANT", "STATE", "SCOPES", "MODELS", "EXPIRES", "LAST USED", "LABEL")


@click.command(
    epilog=examples(
        "snowshed keys list --config gateway.yaml",
        "snowshed keys list --tenant acme --config gateway.yaml",
        "snowshed keys list --json --config gateway.yaml",
    )
)
@click.option("--tenant", metavar="NAME", help="Only those of one tenant.")
@config_option
@json_option
def command(*, tenant: str | None, config: Path | None, as_json: bool) -> None:
    """List the keys: what they may do, and whether they are good."""
    keys = with_registry(config, lambda registry: _all(registry, tenant))
    now = time.time()
    if as_json:
        print_json([{**msgspec.to_builtins(key), "state": _state(key, now)} for key in keys])
    else:
        print_table(HEAD, [_row(key, now) for key in keys])


async def _all(registry: Registry, tenant: str | None) -> list[Key]:
    keys: list[Key] = []
    while page := await registry.keys(tenant, after=keys[-1].id if keys else ""):
        keys += page
    return keys


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

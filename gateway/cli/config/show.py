"""`snowshed config show`: what a configuration comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gateway.cli.admin import Access, admin, admin_options
from gateway.cli.configured import config_option, read
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, print_json
from gateway.cli.trouble import Mistake


@click.command(
    epilog=examples(
        "snowshed config show --config gateway.yaml",
        "snowshed config show --config gateway.yaml --effective",
        "snowshed config show --effective --json",
        "snowshed config show --running --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@config_option
@click.option("--effective", is_flag=True, help="Every setting, with what holds where none is given.")
@click.option("--running", is_flag=True, help="Every setting of the gateway that runs, by its admin listener.")
@admin_options
@json_option
def command(*, config: Path | None, effective: bool, running: bool, access: Access, as_json: bool) -> None:
    """Print the configuration as one file, secrets blanked.

    It is what the file and the environment say together; with --running, what they said when the gateway started.
    """
    import yaml

    tree = _running(config, access) if running else _here(config, access, effective=effective)
    if as_json:
        print_json(tree)
    else:
        click.echo(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), nl=False)


def _running(config: Path | None, access: Access) -> Any:
    if config:
        raise Mistake("--config names a file, and --running asks a gateway: one of them is enough.")
    return admin(access).get("/v1/config")


def _here(config: Path | None, access: Access, *, effective: bool) -> Any:
    from gateway.config.showing import shown

    if any((access.url, access.key_file, access.certificate)):
        raise Mistake("A gateway is asked with --running.")
    return shown(read(config), effective=effective)

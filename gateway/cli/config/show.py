"""`snowshed config show`: what a configuration comes to."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.configured import config_option, read
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, print_json


@click.command(
    epilog=examples(
        "snowshed config show --config gateway.yaml",
        "snowshed config show --config gateway.yaml --effective",
        "snowshed config show --effective --json",
    )
)
@config_option
@click.option("--effective", is_flag=True, help="Every setting, with what holds where none is given.")
@json_option
def command(*, config: Path | None, effective: bool, as_json: bool) -> None:
    """Print the configuration as one file, secrets blanked.

    It is what the file and the environment say together.
    """
    import yaml

    from gateway.config.showing import shown

    tree = shown(read(config), effective=effective)
    if as_json:
        print_json(tree)
    else:
        click.echo(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), nl=False)

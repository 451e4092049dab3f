"""`snowshed model set`: a version of a model as a whole, in running gateways."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.entry import read_entry
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.versions import print_versions, whole


@click.command(
    epilog=examples(
        "snowshed model set chat@2 entry.yaml --key-file admin.key",
        "snowshed weights chat 1=95 2=5 --key-file operator.key",
    )
)
@click.argument("name", metavar="MODEL@VERSION")
@click.argument("file", type=click.Path(path_type=Path))
@admin_options
@json_option
def command(*, name: str, file: Path, access: Access, as_json: bool) -> None:
    """Have MODEL@VERSION be what FILE says: a YAML file with an entry of `models`, without its name and version.

    It holds over the configuration, in every gateway of the same database, until it is cleared.
    """
    from gateway.admin.routes.answers import ModelList

    print_versions(asked(admin(access), whole(name), ModelList, "PUT", read_entry(file)).data, as_json=as_json)

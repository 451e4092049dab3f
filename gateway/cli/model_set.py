"""`snowshed model set`: a version of a model as a whole, in running gateways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.trouble import Mistake
from gateway.cli.versions import print_versions, whole

LONGEST = 1 << 20
"""Bytes of a file, as of the configuration's."""


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

    print_versions(asked(admin(access), whole(name), ModelList, "PUT", _entry(file)).data, as_json=as_json)


def _entry(file: Path) -> Any:
    """Raises Mistake."""
    from gateway.config.strict_yaml import UnreadableError, parse

    try:
        with file.open("rb") as opened:
            content = opened.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise Mistake(f"{file}: longer than {LONGEST} bytes")
        entry = parse(content.decode(), str(file))
        json.dumps(entry)
        if entry is None:
            raise Mistake(f"{file}: is empty")
    except OSError as error:
        raise Mistake(f"{file}: {error.strerror}") from None
    except UnreadableError as error:
        raise Mistake(str(error)) from None
    except UnicodeDecodeError:
        raise Mistake(f"{file}: not UTF-8") from None
    except (TypeError, ValueError):
        raise Mistake(f"{file}: holds what JSON has no word for; put quotes around a date") from None
    return entry

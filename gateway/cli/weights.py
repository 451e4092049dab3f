"""`snowshed weights`: how many callers each version of a model gets."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import click

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option
from gateway.cli.trouble import Mistake, Trouble
from gateway.cli.versions import part, print_versions, versions


@click.command(
    epilog=examples(
        "snowshed weights chat --key-file viewer.key",
        "snowshed weights chat 1=95 2=5 --key-file operator.key",
        "snowshed weights chat --clear --key-file operator.key",
    )
)
@click.argument("model")
@click.argument("weights", metavar="[VERSION=WEIGHT]...", nargs=-1)
@click.option("--clear", is_flag=True, help="The weights of the configuration hold again.")
@admin_options
@json_option
def command(*, model: str, weights: tuple[str, ...], clear: bool, access: Access, as_json: bool) -> None:
    """Show what the versions of MODEL weigh, or set it.

    What is set holds over the configuration, in every gateway of the same database, until it is cleared. A version that
    is left out gets nobody.
    """
    from gateway.admin.routes.answers import ModelList

    if weights and clear:
        raise Mistake("Weights are set or cleared: one of them is enough.")
    asking, given = f"/v1/models/{part(model)}/weights", _parsed(weights)
    gateway = admin(access)
    if weights:
        found = asked(gateway, asking, ModelList, "PUT", given).data
    elif clear:
        found = asked(gateway, asking, ModelList, "DELETE").data
    elif not (found := [seen for seen in versions(gateway).data if seen.name == model]):
        raise Trouble(f"There is no model {model}: snowshed models --versions.")
    print_versions(found, as_json=as_json)


def _parsed(weights: Sequence[str]) -> dict[str, float]:
    """Raises Mistake."""
    parsed: dict[str, float] = {}
    for word in weights:
        version, _, number = word.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not version or version in parsed or not isfinite(weight) or weight < 0:
            raise Mistake(f"{word}: takes each version once with a number from 0 up, as in 1=95 2=5.")
        parsed[version] = weight
    return parsed

"""`snowshed models`: what a running gateway serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gateway.cli.lazy import examples
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.cli.remote import Remote, remote, remote_options
from gateway.cli.trouble import Trouble


@click.command(
    epilog=examples(
        "snowshed models",
        "snowshed models --json",
        "snowshed models --url https://llm.example.org --key-file ~/.snowshed-key",
    )
)
@remote_options
@json_option
def command(*, url: str, key_file: Path | None, as_json: bool) -> None:
    """List the models that a running gateway serves to you."""
    models = ask(remote(url, key_file, os.environ.get("SNOWSHED_API_KEY", "")))
    if as_json:
        print_json(models)
    else:
        print_table(("MODEL", "SINCE"), [(model["id"], moment(model.get("created"))) for model in models])


def ask(gateway: Remote) -> list[dict[str, Any]]:
    """The models as OpenAI describes them, each with its `id`. Raises Trouble."""
    document = gateway.get("/v1/models")
    models = document.get("data") if isinstance(document, dict) else None
    if not isinstance(models, list) or not all(map(_named, models)):
        raise Trouble(f"What answers at {gateway.url} is no Snowshed: it lists no models.")
    return models


def _named(model: Any) -> bool:
    return isinstance(model, dict) and isinstance(model.get("id"), str)

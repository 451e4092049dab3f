"""`snowshed models`: what a running gateway serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gateway.cli.admin import Access, admin, admin_url_option, certificate_option
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.cli.remote import Remote, remote, remote_options
from gateway.cli.trouble import Mistake, Trouble
from gateway.cli.versions import print_versions
from gateway.cli.versions import versions as every_version


@click.command(
    epilog=examples(
        "snowshed models",
        "snowshed models --json",
        "snowshed models --versions --admin-url http://127.0.0.1:8082 --key-file viewer.key",
        "snowshed models --url https://llm.example.org --key-file ~/.snowshed-key",
    )
)
@click.option("--versions", is_flag=True, help="All models with their versions, as the admin listener knows them.")
@remote_options
@admin_url_option
@certificate_option
@json_option
def command(
    *, versions: bool, url: str, key_file: Path | None, admin_url: str | None, certificate: Path | None, as_json: bool
) -> None:
    """List the models that a running gateway serves to you, or all of them in their versions."""
    if versions:
        print_versions(every_version(admin(Access(admin_url, key_file, certificate))).data, as_json=as_json)
        return
    if admin_url or certificate:
        raise Mistake("The admin listener is asked with --versions.")
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

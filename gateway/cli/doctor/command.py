"""`snowshed doctor`: what would keep the gateway from working here, and what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from gateway.cli.configured import cache, config_option, read
from gateway.cli.doctor.finding import Finding
from gateway.cli.lazy import examples
from gateway.cli.output import harmless, json_option, print_json
from gateway.cli.trouble import Mistake

COLORS = {"ok": "green", "note": "yellow", "wrong": "red"}


@click.command(epilog=examples("snowshed doctor", "snowshed doctor --config gateway.yaml", "snowshed doctor --json"))
@config_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, config: Path | None, as_json: bool) -> None:
    """Check what the gateway needs here: Python, clock, open files, ports, the database of keys, the issuer of tokens,
    the store of limits, model files and model servers.

    Each line says what was found, and what to do. It may run before the gateway is started or beside it; a model that
    is not in memory yet is loaded, asked and let go again. Exit status 1 if anything is wrong; a note is no fault.
    """
    logging.getLogger("snowshed").addHandler(logging.NullHandler())  # what engines have to say stands in their lines
    findings: Sequence[Finding] = tuple(_told(_findings(config), as_json=as_json))
    wrong = sum(one.level == "wrong" for one in findings)
    if as_json:
        print_json({"ok": not wrong, "findings": [asdict(one) for one in findings]})
    if wrong:
        ctx.exit(1)


def _findings(file: Path | None) -> Iterator[Finding]:
    """Each as soon as it is found. Raises Mistake."""
    from gateway.cli.doctor import issuer, limits, machine, ports, replicas, stores

    config = read(file)
    yield from machine.look(config)
    yield from ports.look(config)
    yield from stores.look(config)
    yield from issuer.look(config)
    yield from limits.look(config)
    yield from replicas.files(config, cache())
    try:
        yield from replicas.look(config, cache(), running=ports.running(config))
    except ValueError as error:  # a secret that is not where the configuration says
        raise Mistake(str(error)) from None


def _told(findings: Iterator[Finding], *, as_json: bool) -> Iterator[Finding]:
    for one in findings:
        if not as_json:
            click.echo(f"{click.style(f'{one.level:5}', fg=COLORS[one.level])}  {one.subject}: {harmless(one.what)}")
            if one.todo:
                click.echo(f"       → {one.todo}")
        yield one

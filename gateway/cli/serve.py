"""`snowshed serve`: the gateway itself."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import click

from gateway import compiled
from gateway.cli.configured import cache, config_option, read
from gateway.cli.lazy import examples
from gateway.cli.trouble import Mistake
from gateway.log_form import FORMS, LEVELS, Form, form_for


@click.command(
    epilog=examples(
        "snowshed serve",
        "snowshed serve --config gateway.yaml",
        "snowshed serve --config gateway.yaml >> requests.jsonl",
        "snowshed serve --config gateway.yaml --log-format json --log-level warning",
    )
)
@config_option
@click.option(
    "--log-format",
    type=click.Choice(FORMS),
    help="Default: the configuration's logs.format, else console on a terminal, json into a file or a pipe.",
)
@click.option(
    "--log-level", type=click.Choice(LEVELS, case_sensitive=False),
    help="Of what it says about itself; requests are all written down. Default: the configuration's logs.level.",
)  # fmt: skip
def command(config: Path | None, log_format: Form | None, log_level: str | None) -> None:
    """Run the gateway.

    It says on standard error what becomes of itself, and writes a line per request to standard output. SIGTERM or
    Ctrl-C let it finish what it has begun; a second Ctrl-C does not wait. SIGHUP has it read FILE again, which it also
    does when FILE changes: models and routing are taken over while requests go on.
    """
    try:
        compiled.use()  # before the first of what may be compiled is imported, as are these
    except ValueError as error:
        raise Mistake(str(error)) from None
    from gateway.config import ConfigError, check_sources
    from gateway.logs import configure
    from gateway.reloading import Source
    from gateway.server import Server
    from gateway.wiring import build

    settings = read(config)
    asked = log_format or settings.logs.format
    try:
        check_sources(settings)
        gateway = build(settings, cache(), 1, form_for(sys.stdout, asked), Source(config, os.environ))
    except (ConfigError, ValueError) as error:  # of a secret that can't be used
        raise Mistake(str(error)) from None
    form = form_for(sys.stderr, asked)
    configure(log_level or settings.logs.level, sys.stderr, form)
    gc.collect()
    gc.freeze()  # what start-up made lives for ever: the collector need not walk it again
    gc.set_threshold(50_000, 20, 20)
    server = Server(gateway, _greet) if form == "console" else Server(gateway)  # the event `serving` says the same
    server.run()


def _greet(lines: str) -> None:
    print(f"{lines}\n", end="", file=sys.stderr, flush=True)

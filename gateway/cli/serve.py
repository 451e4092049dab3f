"""`snowshed serve`: the gateway itself."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from gateway.cli.configured import cache, config_option, read
from gateway.cli.lazy import examples
from gateway.cli.trouble import Mistake


@click.command(
    epilog=examples(
        "snowshed serve",
        "snowshed serve --config gateway.yaml",
        "snowshed serve --config gateway.yaml >> requests.jsonl",
    )
)
@config_option
def command(config: Path | None) -> None:
    """Run the gateway.

    It says on standard error where it serves, and writes a JSON line per request to standard output. SIGTERM or Ctrl-C
    let it finish what it has begun; a second Ctrl-C does not wait.
    """
    from gateway.logs import configure
    from gateway.server import Server
    from gateway.wiring import build

    settings = read(config)
    try:
        gateway = build(settings, cache())
    except ValueError as error:  # a secret that is not where the configuration says
        raise Mistake(str(error)) from None
    configure("info", sys.stderr)
    gc.collect()
    gc.freeze()  # what start-up made lives for ever: the collector need not walk it again
    gc.set_threshold(50_000, 20, 20)
    Server(gateway, lambda lines: print(f"{lines}\n", end="", file=sys.stderr, flush=True)).run()

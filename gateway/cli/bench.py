"""`snowshed bench`: what the gateway costs on this machine."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from gateway.cli.lazy import examples
from gateway.cli.trouble import Mistake, Trouble


@click.command(epilog=examples("snowshed bench --quick", "snowshed bench --json figures.json"))
@click.option("--quick", is_flag=True, help="Two short repetitions: a first impression.")
@click.option("--json", type=click.Path(path_type=Path), metavar="FILE", help="Also write all figures to this file.")
def command(*, quick: bool, json: Path | None) -> None:
    """Measure what the gateway costs here, as ratios to a raw proxy.

    It takes about three minutes (--quick: one), uses loopback only, and stops by itself. docs/guides/performance.md
    explains the figures.
    """
    if find_spec("loadtests") is None:
        raise Trouble("The load tests are not installed here: run it from a checkout.")
    if json and not os.access(json if json.exists() else json.parent, os.W_OK):
        raise Mistake(f"{json} can't be written.")
    arguments = [*(["--quick"] if quick else []), *(["--json", str(json)] if json else [])]
    os.execv(sys.executable, [sys.executable, "-m", "loadtests.bench", *arguments])  # noqa: S606  # no shell

"""The command line that every bench has."""

from __future__ import annotations

import argparse
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from loadtests.bench.report import invocation
from loadtests.bench.runner import QUICK, Effort


class Findings(Protocol):
    """A bench's report."""

    def as_json(self) -> bytes: ...

    def table(self) -> str: ...


def command(run: Callable[[Effort], Findings], description: str | None) -> None:
    """Measure as the command line says, and tell."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it would leave behind what is measured
    parser = argparse.ArgumentParser(prog=shlex.join(invocation()), description=description)
    parser.add_argument("--quick", action="store_true", help="two short repetitions: a first impression")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write all figures to this file")
    arguments = parser.parse_args()
    report = run(QUICK if arguments.quick else Effort())
    if arguments.json:
        arguments.json.write_bytes(report.as_json())
    print(report.table())

"""`snowshed`, all of it: which commands there are, and what a call of one ends with.

Exit status: 0 after success or a clean stop, 1 if something can't be had or is not as it should be, 2 for mistakes in
the call or the configuration, 130 after an interruption (Ctrl-C).
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli.lazy import LazyGroup, examples
from gateway.version import VERSION

COMMANDS = {
    "serve": "gateway.cli.serve",
    "config": "gateway.cli.config.group",
    "migrate": "gateway.cli.migrate",
    "tenants": "gateway.cli.tenants.group",
    "keys": "gateway.cli.keys.group",
    "plans": "gateway.cli.plans.group",
    "overrides": "gateway.cli.overrides.group",
    "usage": "gateway.cli.usage",
    "audit": "gateway.cli.audit",
    "limits": "gateway.cli.limits.group",
    "replicas": "gateway.cli.replicas",
    "models": "gateway.cli.models",
    "weights": "gateway.cli.weights",
    "drain": "gateway.cli.drain",
    "eject": "gateway.cli.eject",
    "restore": "gateway.cli.restore",
    "reload": "gateway.cli.reload",
    "events": "gateway.cli.events",
    "top": "gateway.cli.top",
    "explain": "gateway.cli.explain",
    "model": "gateway.cli.model",
    "chat": "gateway.cli.chat",
    "bench": "gateway.cli.bench",
    "doctor": "gateway.cli.doctor.command",
    "version": "gateway.cli.version",
    "completion": "gateway.cli.completion",
}
"""Every command, and the module that holds it."""

EXIT_STATUS = """\b
Exit status: 0 success or a clean stop; 1 something can't be had or is not as
it should be; 2 a mistake in the call or the configuration; 130 interrupted."""

program = LazyGroup(
    name="snowshed",
    modules=COMMANDS,
    help="An OpenAI-compatible gateway in front of LLM servers.",
    epilog=f"{examples('snowshed serve', 'snowshed serve --config gateway.yaml')}\n\n{EXIT_STATUS}",
    context_settings={"help_option_names": ["-h", "--help"]},
)

click.version_option(VERSION, message="%(prog)s %(version)s")(program)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (by default the process's own) asks for; gives its exit status."""
    _close_gaps()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal can't show is no reason to break off
    color = False if os.environ.get("NO_COLOR") else None  # None: on a terminal
    try:
        status = program.main(argv, "snowshed", standalone_mode=False, color=color)
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:  # the output's: a full disk
        click.echo(f"snowshed: {error.strerror}", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else what is still buffered would be tried again at the end
        return 1
    return status if isinstance(status, int) else 0


def _close_gaps() -> None:
    """The number of a standard stream that was closed would go to a file or connection, which would be written into."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # to the end

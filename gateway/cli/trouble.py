"""How a command fails: a sentence on standard error and an exit status, never a traceback."""

from __future__ import annotations

from typing import IO, Any

import click


class Trouble(click.ClickException):
    """Something can't be had, or is not as it should be: exit status 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=file is None)


class Mistake(Trouble):
    """The call or the configuration is wrong: exit status 2."""

    exit_code = 2

"""`snowshed completion`: what a shell needs to complete our commands and options."""

from __future__ import annotations

from typing import Literal

import click
from click.shell_completion import get_completion_class

from gateway.cli.lazy import examples


@click.command(
    epilog=examples(
        'eval "$(snowshed completion bash)"                   # in ~/.bashrc',
        'eval "$(snowshed completion zsh)"                    # in ~/.zshrc',
        "snowshed completion fish > ~/.config/fish/completions/snowshed.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a script that teaches SHELL to complete `snowshed`."""
    shell_class = get_completion_class(shell)
    assert shell_class is not None
    click.echo(shell_class(ctx.find_root().command, {}, "snowshed", "_SNOWSHED_COMPLETE").source())

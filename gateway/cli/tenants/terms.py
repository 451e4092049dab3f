"""What a tenant may be given, as options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


def terms_options(command: Wrapped) -> Wrapped:
    """`plan`, `weight`, `priority`, each None where it is not given, and `models`, which may be empty."""
    for option in (
        click.option("--model", "models", multiple=True, metavar="NAME", help="A model it may call; without one: all."),
        click.option("--priority", type=int, help="-100 to 100: above 0 its requests go first, below 0 they go last."),
        click.option("--weight", type=int, help="Its share against others that wait, 1 to 1000."),
        click.option("--plan", metavar="NAME", help="The plan whose limits hold for it, of quotas.plans."),
    ):
        command = option(command)
    return command


def given(models: tuple[str, ...], **terms: Any) -> dict[str, Any]:
    """Those that were given."""
    chosen = {name: value for name, value in terms.items() if value is not None}
    return chosen | ({"models": list(models)} if models else {})

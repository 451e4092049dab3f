"""A word where a tenant is put on a plan that the configuration does not list: a typing error would go unnoticed."""

from __future__ import annotations

import click

from gateway.cli.book.place import Place
from gateway.cli.configured import read


def warn_if_not_listed(plan: str | None, place: Place) -> None:
    """On standard error; nothing where no plan was given, or a running gateway was asked. Raises Mistake."""
    if plan is None or place.is_remote:
        return
    from gateway.config.quotas import DEFAULT

    listed = {one.name for one in read(place.config).quotas.plans}
    if plan not in listed:
        instead = f"that of {DEFAULT} holds" if DEFAULT in listed else "nothing is limited"
        click.echo(f"The configuration has no plan {plan} (quotas.plans): {instead}.", err=True)

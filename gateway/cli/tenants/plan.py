"""A word where a tenant is put on a plan that is not listed: a typing error would go unnoticed."""

from __future__ import annotations

import click

from gateway.cli.book.place import Place, book_at


def warn_if_not_listed(plan: str | None, place: Place) -> None:
    """On standard error; nothing without a plan, or where a running gateway was asked. Raises Mistake and Trouble."""
    if plan is None or place.is_remote:
        return
    from gateway.config.quotas import DEFAULT

    listed = book_at(place).plans()
    if plan not in listed:
        instead = f"that of {DEFAULT} holds" if DEFAULT in listed else "nothing is limited"
        words = f"There is no plan {plan}, neither in the configuration (quotas.plans) nor set since: {instead}."
        click.echo(words, err=True)

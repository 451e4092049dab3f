"""`snowshed limits simulate`: what a plan would have refused of the requests that there were."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.book.api import Book
from gateway.cli.book.place import Place, book_at, book_options
from gateway.cli.entry import read_entry
from gateway.cli.lazy import examples
from gateway.cli.lifetime import Lifetime
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.cli.trouble import Mistake
from gateway.store.spending import Seen, Wanted

if TYPE_CHECKING:
    from gateway.config.quotas import Plan
    from gateway.replay import Caller, Replay

HEAD = ("TENANT", "KEY", "REQUESTS", "REFUSED", "BY", "WORST MINUTE")


@click.command(
    epilog=examples(
        "snowshed limits simulate --plan gold.yaml --config gateway.yaml",
        "snowshed limits simulate --plan gold --tenant acme --since 2d --config gateway.yaml",
        "snowshed limits simulate --plan gold --json --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@click.option(
    "--plan", required=True, metavar="FILE|NAME",
    help="A YAML file with an entry of `quotas.plans` without its name, or the name of a plan that there is.",
)  # fmt: skip
@click.option("--since", type=Lifetime(), metavar="DURATION", help="How far to go back, as in 2d or 12h; else all.")
@click.option("--tenant", metavar="NAME", help="Only this tenant's requests.")
@book_options
@json_option
def command(*, plan: str, since: float | None, tenant: str | None, place: Place, as_json: bool) -> None:
    """Hold the requests of the last days to a plan, and tell whose it would have refused, by which limit and when.

    All of them, whatever plan their tenants are on, as the ledger has them: with what they did use.
    """
    from gateway.replay import Replay

    book = book_at(place)
    replay = Replay(_plan(plan, book))
    begin = 0 if since is None else int(time.time() - since)
    first = datetime.fromtimestamp(begin, UTC).date() if begin else None

    def feed(rows: list[Seen]) -> None:
        replay.feed(row for row in rows if row.at >= begin)

    book.requests(Wanted(first=first, tenant=tenant), feed)
    replay.end()
    if tenant is not None and not (replay.callers or replay.aside):
        _check_tenant(tenant, book)
    callers = sorted(replay.callers.values(), key=lambda caller: (-caller.refused.total(), caller.tenant, caller.key))
    if as_json:
        print_json(_document(replay, callers))
    else:
        _print(replay, callers)


def _plan(named: str, book: Book) -> Plan:
    """Raises Mistake, and Trouble where it has to be asked for."""
    from gateway.config.entries import Unfit
    from gateway.config.plans import read_plan

    path = Path(named)
    if path.is_file():
        given = read_entry(path)
    elif (given := book.plans().get(named)) is None:
        raise Mistake(f"{named}: is neither a file nor a plan that there is.")
    try:
        return read_plan("plan", given)
    except Unfit as error:
        raise Mistake(f"{named}: {error}") from None


def _check_tenant(name: str, book: Book) -> None:
    """One of whom there are no requests may be one that there is not. Raises Mistake."""
    if name not in {tenant.name for tenant in book.tenants()}:
        raise Mistake(f"{name}: is no tenant that there is, nor whose any of these requests are.")


def _print(replay: Replay, callers: list[Caller]) -> None:
    requests, refused = sum(one.requests for one in callers), sum(one.refused.total() for one in callers)
    span = f" from {moment(replay.first)} to {moment(replay.last)}" if requests else ""
    share = f" ({100 * refused / requests:.2f} %)" if requests else ""
    click.echo(f"{requests} requests{span}: {refused} would have been refused{share}.")
    if replay.aside:
        click.echo(f"Left aside: {replay.aside} for which no model was asked, as they were refused or mistaken.")
    if replay.free:
        models = ", ".join(f"{model} ({count})" for model, count in replay.free.most_common())
        click.echo(f"Budgets count nothing of what cost nothing in the ledger, by models and requests: {models}.")
    if refused:
        click.echo()
        print_table(HEAD, [_row(caller) for caller in callers if caller.refused])


def _row(caller: Caller) -> tuple[str, ...]:
    by = ", ".join(f"{limit} {count}" for limit, count in caller.refused.most_common())
    never = f" ({caller.never} never fit)" if caller.never else ""
    worst = f"{moment(caller.worst_at)}: {caller.worst}"
    return caller.tenant, caller.key, str(caller.requests), str(caller.refused.total()), f"{by}{never}", worst


def _document(replay: Replay, callers: list[Caller]) -> dict[str, Any]:
    return {
        "first": replay.first or None,
        "last": replay.last or None,
        "requests": sum(one.requests for one in callers),
        "refused": sum(one.refused.total() for one in callers),
        "aside": replay.aside,
        "free": dict(replay.free.most_common()),
        "callers": [
            {
                "tenant": one.tenant,
                "key": one.key,
                "requests": one.requests,
                "refused": one.refused.total(),
                "by": dict(one.refused.most_common()),
                "never_fit": one.never,
                "worst_minute": one.worst_at or None,
                "refused_in_it": one.worst,
            }
            for one in callers
        ],
    }

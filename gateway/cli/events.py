"""`snowshed events`: what became of the replicas of a running gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import json_option, moment, print_json, print_table
from gateway.cli.remote import Remote
from gateway.store.records import PAGE

if TYPE_CHECKING:
    from gateway.admin.routes.answers import SeenEvent

HEAD = ("NUMBER", "TIME", "REPLICA", "FROM", "TO", "WHY")


@click.command(
    epilog=examples(
        "snowshed events --key-file viewer.key",
        "snowshed events --after 120 --json --key-file viewer.key",
    )
)
@click.option("--after", type=click.IntRange(0, 2**63 - 1), default=0, metavar="NUMBER", help="Only those behind it.")
@admin_options
@json_option
def command(*, after: int, access: Access, as_json: bool) -> None:
    """List the last changes of replicas' states in a running gateway, the newest last."""
    found = _every(admin(access), after)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print_table(HEAD, [_row(event) for event in found])


def _every(gateway: Remote, after: int) -> list[SeenEvent]:
    from gateway.admin.routes.answers import EventPage  # with a web framework, which no other command needs

    found: list[SeenEvent] = []
    last: int | None = after
    while last is not None:
        page = asked(gateway, f"/v1/events?limit={PAGE}&after={last}", EventPage)
        found += page.data
        last = page.next
    return found


def _row(event: SeenEvent) -> tuple[str, ...]:
    return str(event.number), moment(int(event.at)), event.replica, event.before, event.after, event.reason

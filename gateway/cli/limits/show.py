"""`snowshed limits show`: the limits that bind a key or a tenant, and how they stand."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from gateway.admin.routes.limit_answers import SeenBudget, SeenLimit, SeenLimits
from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import harmless, json_option, moment, print_json, print_table
from gateway.cli.trouble import Mistake
from gateway.cli.versions import part
from gateway.rate_headers import span
from security.keys import key_id

HEAD = ("OF", "LIMIT", "AT ONCE", "LEFT", "FULL AGAIN", "SAID BY")
AWAY = {
    "share": "each of {} gateways lets its part of what was left pass",
    "closed": "nobody passes",
    "open": "nobody is limited",
}


@click.command(
    epilog=examples(
        "snowshed limits show 3f9c2a71b0de --key-file viewer.key",
        "snowshed limits show acme --json --key-file viewer.key",
        "snowshed limits show jwt:alice --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@click.argument("name", metavar="KEY")
@admin_options
@json_option
def command(*, name: str, access: Access, as_json: bool) -> None:
    """Show the limits that bind a key, by its id, or a tenant, by its name: which plan's, and what is left of each.

    Who shows a token or comes through a mesh has an id such as jwt:alice, as in the gateway's log. Looking takes
    nothing of any limit.
    """
    if key_id(name.encode(errors="surrogateescape")):
        raise Mistake("KEY takes a key's id, the twelve characters behind sk-snow-: arguments can be read by others.")
    found = asked(admin(access), f"/v1/limits/{part(name)}", SeenLimits)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for what, told in _told(found):
        click.echo(harmless(f"{what:<8} {told}"))
    if rows := [*map(_row, found.limits), *map(_spent, found.budgets)]:
        click.echo()
        print_table(HEAD, rows)


def _told(found: SeenLimits) -> Iterator[tuple[str, str]]:
    yield "caller", f"tenant {found.tenant}, {f'key {found.key}' if found.key else 'all of its keys'}"
    yield "plan", _plan(found)
    for one in found.overrides:
        until = one.override.get("until")
        set_by = "set over the admin listener" if one.set_by == "admin" else "of the file"
        yield "override", f"of the {one.holder}, {set_by}{f', until {until}' if until else ''}"
    if found.limits or found.budgets:
        yield "enforced", "yes" if found.enforced else "no: it is only counted what would be refused"
        yield "counted", _counted(found)


def _plan(found: SeenLimits) -> str:
    named = f"named by the {found.named_by}"
    if found.plan is None:
        binds = "only overrides bind" if found.overrides else "nothing binds"
        return f"none: {found.named}, {named}, is not listed, nor is there a default: {binds}"
    said = (
        f"{found.plan}, {named}"
        if found.plan == found.named
        else f"{found.plan}, as {found.named} is not listed ({named})"
    )
    set_here = "; set over the file's" if found.plan_from == "admin" else ""
    unbound = f"; none of its limits binds {'this key' if found.key else 'all keys together'}"
    return f"{said}{set_here}{'' if found.limits or found.budgets else unbound}"


def _counted(found: SeenLimits) -> str:
    if found.store == "local":
        return "in this gateway, for itself"
    if found.store == "shared":
        return f"in the store that gateways share, of which there are {found.gateways}"
    assert found.without_store is not None  # there is a plan
    meanwhile = AWAY[found.without_store].format(found.gateways) if found.enforced else "nobody is refused"
    if found.enforced and found.budgets and found.without_store != "closed":
        meanwhile += ", budgets for no longer than quotas.budget_grace"
    return f"the store is away from this gateway, and this is what it knows; meanwhile {meanwhile}"


def _row(limit: SeenLimit) -> tuple[str, ...]:
    return _of(limit), limit.name.replace("_", " "), str(limit.limit), str(limit.remaining), _when(limit), _by(limit)


def _when(limit: SeenLimit) -> str:
    if limit.full_in is None:
        return f"{limit.in_use} under way"
    return f"in {span(limit.full_in).decode()}" if limit.full_in else "now"


def _spent(budget: SeenBudget) -> tuple[str, ...]:
    left = "not known now" if budget.remaining is None else budget.remaining
    return _of(budget), f"budget of a {budget.period}", budget.limit, left, moment(budget.ends), _by(budget)


def _of(limit: SeenLimit | SeenBudget) -> str:
    return f"{limit.holder} {limit.model}".rstrip()


def _by(limit: SeenLimit | SeenBudget) -> str:
    return "plan" if limit.said_by == "plan" else f"override of the {limit.said_by}"

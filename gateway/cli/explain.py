"""`snowshed explain`: why a request went where it went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import harmless, json_option, moment, print_json
from gateway.cli.versions import part

if TYPE_CHECKING:
    from gateway.admin.routes.answers import Explanation


@click.command(
    epilog=examples(
        "snowshed explain req_5f0c2a9b1e7d438600000001 --key-file viewer.key",
        "snowshed explain req_5f0c2a9b1e7d438600000001 --json --key-file viewer.key",
    )
)
@click.argument("request_id", metavar="REQUEST_ID")
@admin_options
@json_option
def command(*, request_id: str, access: Access, as_json: bool) -> None:
    """Say why the request with this ID went where it went: which version, which replicas, and what failed.

    The ID is the x-request-id of its answer. A running gateway remembers its last 2000 requests.
    """
    from gateway.admin.routes.answers import Explanation  # with a web framework, which no other command needs

    found = asked(admin(access), f"/v1/requests/{part(request_id)}", Explanation)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for what, told in _told(found):
        click.echo(harmless(f"{what:<10} {told}"))


def _told(found: Explanation) -> Iterator[tuple[str, str]]:
    yield "request", f"{found.id}, {found.kind}, at {moment(int(found.began))}"
    yield "caller", f"tenant {found.tenant or '-'}, key {found.key or '-'}, class {found.of_class or '-'}"
    yield "model", found.model or _no_model(found)
    if found.fallback:
        yield "fallback", f"another model was asked: {found.fallback}"
    if found.version:
        yield "version", f"{found.version} ({found.why})"
    for attempt in found.failed:
        yield "failed", f"{attempt.replica}: {attempt.reason}"
    if found.replica:
        yield "replica", f"{found.replica}, attempts: {found.attempts}"
    yield "ended", _end(found)


def _no_model(found: Explanation) -> str:
    return "not known: its body was not read" if found.body_ms is None else "none was found"


def _end(found: Explanation) -> str:
    code = f"{found.code}: {found.reason}" if found.reason else found.code
    answered = " ".join(filter(None, (str(found.status or ""), code)))
    said = [f"{found.outcome}, {answered or 'nothing sent'}"]
    if found.queue_ms:
        said.append(f"waited {found.queue_ms / 1000:.3f} s for a place")
    if found.client_gone:
        said.append("the client had left")
    if found.first_token_ms is not None:
        said.append(f"first content after {found.first_token_ms / 1000:.3f} s")
    return "; ".join([*said, f"over after {found.duration_ms / 1000:.3f} s"])

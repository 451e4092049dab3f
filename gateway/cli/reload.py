"""`snowshed reload`: the configuration's file, read again by a running gateway."""

from __future__ import annotations

import click
import msgspec

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import harmless, json_option, print_json


@click.command(
    epilog=examples(
        "snowshed reload --key-file operator.key",
        "snowshed reload --json --admin-url http://127.0.0.1:8082 --key-file operator.key",
    )
)
@admin_options
@json_option
def command(*, access: Access, as_json: bool) -> None:
    """Have a running gateway take over models, routing and admission of its file, while requests go on.

    A file with a mistake changes nothing.
    """
    from gateway.admin.routes.answers import Reloaded  # with a web framework, which no other command needs

    done = asked(admin(access), "/v1/reload", Reloaded, "POST")
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    parts = (
        ("Added", done.added), ("Removed", done.removed), ("Changed", done.changed),
        ("Takes a restart", done.needs_restart),
    )  # fmt: skip
    for what, names in parts:
        if names:
            click.echo(harmless(f"{what}: {', '.join(names)}"))
    if not (done.added or done.removed or done.changed):
        click.echo(f"What can be taken over is that of the file already (generation {done.generation}).")

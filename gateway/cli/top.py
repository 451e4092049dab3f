"""`snowshed top`: a running gateway at work, looked at each second."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import click
import msgspec

from gateway.cli.admin import Access, admin, admin_options, asked
from gateway.cli.lazy import examples
from gateway.cli.output import harmless, json_option, print_json
from gateway.cli.remote import Remote
from gateway.cli.trouble import Mistake, Trouble
from gateway.cli.view import Look, blocks

EVERY = 1.0
"""Seconds from one look to the next."""
_OTHER_SCREEN, _SCREEN_BEFORE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # without a cursor, and with it again
_HOME, _REST_OF_SCREEN = "\x1b[H", "\x1b[J"
_BLANK = "\x1b[K"  # before a line is written: what blanks the rest of one that fills the screen takes its last letter


@click.command(
    epilog=examples(
        "snowshed top --key-file viewer.key",
        "snowshed top --once --admin-url http://127.0.0.1:8082 --key-file viewer.key",
    )
)
@click.option("--once", is_flag=True, help="Print it once and end, for scripts.")
@admin_options
@json_option
def command(*, once: bool, access: Access, as_json: bool) -> None:
    """Watch a running gateway: versions and who waits for them, replicas and what they have to do, tenants.

    It looks once a second until Ctrl-C. SHED are requests that were refused as they could not start in time; BACKLOG is
    what those who wait keep the replicas busy for; AHEAD are the tokens, per weight, that a tenant has been served more
    than the one whose turn it is.
    """
    gateway = admin(access)
    if not (once or as_json or sys.stdout.isatty()):
        raise Mistake("A live view takes a terminal: --once prints it once.")
    first = _look(gateway)
    if as_json:
        print_json({"queues": msgspec.to_builtins(first.queues), "replicas": msgspec.to_builtins(first.replicas)})
    elif once:
        for heads, *lines in blocks(first, None):
            click.secho(heads, bold=True)
            click.echo("".join(f"{line}\n" for line in lines))
    else:
        _watch(gateway, first)


def _look(gateway: Remote) -> Look:
    """Raises Trouble."""
    from gateway.admin.routes.answers import ReplicaList  # with a web framework, which no other command needs
    from gateway.admin.routes.queue_answers import QueueList

    queues = asked(gateway, "/v1/queues", QueueList).data
    return Look(time.monotonic(), queues, asked(gateway, "/v1/replicas", ReplicaList).data)


def _watch(gateway: Remote, look: Look) -> None:
    """Until Ctrl-C. A gateway that is away for a while is told as such, and asked again."""
    before: Look | None = None
    headline = seen = _now()
    try:
        with _screen():
            while True:
                _show(f"{gateway.url}  {headline}", look, before)
                time.sleep(EVERY)
                try:
                    before, look = look, _look(gateway)
                    headline = seen = _now()
                except Trouble as error:
                    headline = f"Seen at {seen}. {harmless(error.message)}"
    except KeyboardInterrupt:
        return


@contextmanager
def _screen() -> Iterator[None]:
    """A screen of our own; what stood on the terminal comes back."""
    try:
        _write(_OTHER_SCREEN)
        yield
    finally:
        _write(_SCREEN_BEFORE)


def _now() -> str:
    return f"{datetime.now(UTC):%H:%M:%S} UTC"


def _show(headline: str, look: Look, before: Look | None) -> None:
    lines, heads = [headline], set()
    for block in blocks(look, before):
        heads.add(len(lines) + 1)
        lines += ["", *block]
    plain = click.get_current_context().color is False
    shown = (
        line if plain or at not in heads else click.style(line, bold=True)
        for at, line in enumerate(fitting(lines, *shutil.get_terminal_size()))
    )
    _write(_HOME + "\n".join(_BLANK + line for line in shown) + _REST_OF_SCREEN)


def fitting(lines: Sequence[str], columns: int, rows: int) -> list[str]:
    """As much as a screen of that size holds; the last line says how many more there would be."""
    shown = list(lines) if len(lines) <= rows else [*lines[: rows - 1], f"and {len(lines) - rows + 1} more lines"]
    return [line[:columns] for line in shown]


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()

"""`snowshed migrate`: brings the tables of tenants and keys up to date before a new version is started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.cli.configured import config_option, read
from gateway.cli.lazy import examples
from gateway.cli.trouble import Mistake, Trouble


@click.command(epilog=examples("snowshed migrate --config gateway.yaml"))
@config_option
def command(config: Path | None) -> None:
    """Bring the database of tenants and keys up to date.

    A PostgreSQL database, before the first start and before each new version: whoever comes first does it, and the
    others wait. A SQLite file is brought up to date whenever a gateway starts.
    """
    from sqlalchemy.exc import SQLAlchemyError

    auth = read(config).auth
    if auth.kind == "none":
        click.echo("Nobody needs a key here (auth.kind: none), so there is no database.", err=True)
        return
    try:
        before, after = asyncio.run(_upgrade(auth.url()))
    except ValueError as error:
        raise Mistake(f"auth.database: {error}") from None
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "driver_exception", error)  # SQLAlchemy's own words repeat the statement
        raise Trouble(f"The database can't be brought up to date: {type(reason).__name__}: {reason}") from None
    since = "as before" if before == after else f"from {before or 'nothing'}"
    click.echo(f"Up to date at {after}, {since}.", err=True)


async def _upgrade(url: str) -> tuple[str, str]:
    """The revisions before and after."""
    from gateway.store.database import address, connect
    from gateway.store.migrate import upgrade

    engine = connect(address(url))
    try:
        return await upgrade(engine)
    finally:
        await engine.dispose()

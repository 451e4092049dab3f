"""The tenants and keys of a configuration's database, for commands that show and change them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.configured import read
from gateway.cli.trouble import Mistake, Trouble

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from gateway.config import Config
    from gateway.store.registry import Registry

T = TypeVar("T")
COPIED = "held no tables, and has empty ones now: a copy of a file in use needs its -wal file as well"


def with_registry(file: Path | None, work: Callable[[Registry], Awaitable[T]], *, making: bool = False) -> T:
    """What `work` gives. A file's tables are brought up to date, as a start does. Raises Mistake and Trouble.

    `making`: where there is no such file, it is made; else that is trouble, and there is none afterwards either.
    """
    from gateway.store.database import is_sqlite
    from gateway.store.migrate import current, upgrade
    from gateway.store.migrations import NEWEST
    from gateway.store.records import NotThere, RegistryError
    from gateway.store.registry import Registry

    url = address_of(read(file))
    missing = is_sqlite(url) and not Path(url.database or "").exists()
    if missing and not making:
        raise Trouble(f"There is no database {_place(url)}: --config names another, snowshed tenants create makes one.")

    async def run(engine: AsyncEngine) -> T:
        made = False
        if is_sqlite(url):
            made = not (await upgrade(engine))[0]
        elif await current(engine) != NEWEST:
            raise Trouble("The database's tables are not those of this version: run snowshed migrate first.")
        try:
            done = await work(Registry(engine, time.time))
        except RegistryError as error:
            raise Trouble(f"{error} (in {_place(url)})" if isinstance(error, NotThere) else str(error)) from None
        if made:
            why = "was made: there was no database of that name" if missing else COPIED
            click.echo(f"{_place(url)} {why}.", err=True)
        return done

    return with_database(url, run)


def _place(url: URL) -> str:
    """For people: a relative path is another file in every folder."""
    return str(Path(url.database or "").absolute()) if url.drivername.startswith("sqlite") else url.render_as_string()


def address_of(config: Config) -> URL:
    """Where tenants and keys are kept. Raises Mistake."""
    from gateway.store.database import address

    try:
        return address(config.auth.url())
    except ValueError as error:
        raise Mistake(f"auth: {error}") from None


def with_database(url: URL, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """What `work` gives; every failure of the database is told in a sentence. Raises Mistake and Trouble."""
    from gateway.store.database import connect

    async def run() -> T:
        try:
            engine = connect(url)
        except ValueError as error:  # without its driver
            raise Mistake(f"auth: {error}") from None
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    try:
        return asyncio.run(run())
    except Trouble:
        raise
    except Exception as error:  # noqa: BLE001  # drivers have errors of their own for what they can't reach
        raise Trouble(f"The database can't be used: {_words(error)}") from None


def _words(error: Any) -> str:
    """The driver's own, without the statement that failed."""
    reason = getattr(error, "driver_exception", None) or error
    return (str(reason).splitlines() or [type(reason).__name__])[0] or type(reason).__name__

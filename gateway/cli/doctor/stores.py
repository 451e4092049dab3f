"""Where tenants and keys are kept, if the configuration asks for keys."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.doctor.finding import Finding
from gateway.cli.registry import address_of, with_database
from gateway.cli.trouble import Trouble
from gateway.config import Config

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

SUBJECT = "keys"


def look(config: Config) -> Iterator[Finding]:
    """A line, if keys are asked for; a file that is not there is not made. Raises Mistake."""
    if config.auth.kind != "keys":
        return
    from gateway.store.database import is_sqlite

    url = address_of(config)
    file = Path(url.database or "") if is_sqlite(url) else None
    if file and not file.exists():
        yield _unmade(file)
        return
    try:
        yield with_database(url, lambda engine: _judged(engine, is_file=file is not None))
    except Trouble as trouble:
        yield Finding("wrong", SUBJECT, trouble.message, "see that the database runs, and that auth says where it is")


def _unmade(file: Path) -> Finding:
    if os.access(file.parent, os.W_OK):
        return Finding("ok", SUBJECT, f"{file} will be made at the first start")
    return Finding("wrong", SUBJECT, f"{file} can't be made", "choose a folder that can be written to: auth.sqlite")


async def _judged(engine: AsyncEngine, *, is_file: bool) -> Finding:
    from gateway.store.migrate import current
    from gateway.store.migrations import NEWEST
    from gateway.store.registry import Registry

    revision, where = await current(engine), engine.url.render_as_string()
    if revision > NEWEST:
        return Finding("wrong", SUBJECT, f"{where} has the tables of a newer version", "run that version")
    if revision != NEWEST:
        if is_file:
            return Finding("ok", SUBJECT, f"{where} will be brought up to date at the start")
        return Finding("wrong", SUBJECT, f"{where} has not the tables of this version", "run: snowshed migrate")
    if not await Registry(engine, time.time).has_good_key():
        return Finding(
            "note", SUBJECT, f"{where} holds no key that is good: nobody will be let in",
            "make one: snowshed tenants create NAME, then snowshed keys create NAME",
        )  # fmt: skip
    return Finding("ok", SUBJECT, f"{where} holds good keys")

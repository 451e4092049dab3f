"""What tests of the edge share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

import pytest

from gateway.store.bounded import BoundedRegistry
from gateway.store.database import address
from tests.support.databases import sqlite
from tests.support.stored import Clock, KeyBook


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A pipe's two ends, for reading and for writing."""
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "wb", buffering=0) as writer:  # noqa: PTH123 (descriptors)
        yield reader, writer


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    """With tables."""
    KeyBook(sqlite(tmp_path))
    return tmp_path / "snowshed.db"


@pytest.fixture
async def registry(ledger_file: Path) -> AsyncIterator[BoundedRegistry]:
    registry = BoundedRegistry(address(f"sqlite:///{ledger_file}"), Clock())
    yield registry
    await registry.aclose()

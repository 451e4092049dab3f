"""What tests of the edge share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

import pytest


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A pipe's two ends, for reading and for writing."""
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "wb", buffering=0) as writer:  # noqa: PTH123 (descriptors)
        yield reader, writer

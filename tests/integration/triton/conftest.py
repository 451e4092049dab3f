"""A bare client of the test run's Triton, and that server afresh for each file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from loadtests.triton import TritonServer
from tests.support.triton import RawTriton, raw_triton


@pytest.fixture(scope="module", autouse=True)
def afresh(triton: TritonServer) -> Iterator[None]:
    """A model that was made to stall keeps an instance of BLS busy for ever; a start takes a tenth of a second."""
    yield
    triton.kill()
    triton.start()


@pytest.fixture
async def client(triton: TritonServer) -> AsyncIterator[RawTriton]:
    async with raw_triton(triton) as opened:
        yield opened

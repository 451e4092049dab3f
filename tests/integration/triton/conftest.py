"""A bare client of the test run's Triton."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from loadtests.triton import TritonServer
from tests.support.triton import RawTriton, raw_triton


@pytest.fixture
async def client(triton: TritonServer) -> AsyncIterator[RawTriton]:
    async with raw_triton(triton) as opened:
        yield opened

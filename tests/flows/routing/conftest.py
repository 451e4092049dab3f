"""One model, `mock`, over three simulated servers that are all well, behind a gateway with the default policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.trio import Trio, trio_of


@pytest.fixture
def trio() -> Iterator[Trio]:
    with trio_of() as made:
        yield made
        made.gateway.wait_idle()

"""A gateway in front of a simulated upstream, shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import Api, api


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def stand(shared: Api) -> Iterator[Api]:
    """With a well-behaved upstream that has an empty log; afterwards nothing may be held."""
    shared.upstream.reset()
    yield shared
    shared.gateway.wait_idle()

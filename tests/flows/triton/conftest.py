"""One gateway per transport in front of the test run's real Triton, with a model of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from loadtests.triton import TritonServer
from tests.support.triton_stand import TRANSPORTS, Journal, TritonStand, need_served, real_models, triton_stand


@pytest.fixture(scope="session", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """How the gateway speaks gRPC."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def shared(triton: TritonServer, transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonStand]:
    with triton_stand(tmp_path_factory.mktemp("stand"), partial(real_models, triton, transport=transport)) as running:
        yield running


@pytest.fixture
def stand(triton: TritonServer, shared: TritonStand) -> Iterator[TritonStand]:
    """Its server has all models, and is thought no ill of: it may have died before. Afterwards nothing may be held."""
    need_served(triton)
    shared.gateway.run(shared.gateway.forgive)
    yield shared
    shared.wait_idle()


@pytest.fixture
def journal(triton: TritonServer) -> Journal:
    return Journal(triton)

"""One stand per module, with short timers, clean before and after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stand import TIMER, Stand, standing


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    log = tmp_path_factory.mktemp("records") / "records.jsonl"
    with standing(log, {"connect": TIMER, "first_token": TIMER, "inter_token": TIMER}) as running:
        yield running


@pytest.fixture
def clean(stand: Stand) -> Iterator[Stand]:
    """The stand with well-behaved upstreams; after the test nothing may be held."""
    stand.reset()
    yield stand
    stand.wait_idle()


@pytest.fixture(params=[False, True], ids=["unary", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)

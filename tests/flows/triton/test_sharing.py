"""Who shares the test run's Triton finds its models there, whatever order the files of tests come in."""

from __future__ import annotations

import pytest

from loadtests.triton import TritonServer
from router.health import look
from tests.support.triton_stand import SERVED, TritonStand


@pytest.fixture
def _started_again(triton: TritonServer, shared: TritonStand) -> None:
    """As other tests do it: without a model; and the gateway has noticed."""
    triton.kill()
    triton.start()
    for replica in shared.gateway.objects.upstreams.replicas:
        shared.gateway.wait_for(look(replica))
        assert replica.verdict


@pytest.mark.usefixtures("_started_again")  # named before the next one, it comes before it
def test_the_models_are_there_again(stand: TritonStand) -> None:
    for model in SERVED.keys() - {"embedder"}:
        answer = stand.sdk().completions.create(model=model, prompt="Hello", max_tokens=2)
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 2
    assert stand.sdk().embeddings.create(model="embedder", input="Hello").data

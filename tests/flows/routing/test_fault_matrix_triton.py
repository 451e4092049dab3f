"""P06, P07, P09 over gRPC: of three Triton servers one is faulty. Callers are spared, or told so; it is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from loadtests.prove.faults import GRPC_MODEL, GRPC_WAYS, LIMITS, OVER_GRPC, TIMEOUTS, Way, model_of, spread
from tests.support.faulty_models import Seen, seen
from tests.support.fleet import spawn_fleet
from tests.support.gateway import configuration, running_gateway
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton_stand import behind


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Seen]:
    """All models are tried within the same seconds."""
    tokenizer = write_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    with spawn_fleet(len(GRPC_WAYS) + 2, OVER_GRPC, contract="llmapi") as fleet:
        models = [
            behind(model, tokenizer, *({"url": target, **GRPC_MODEL} for target in targets)) | {"limits": LIMITS}
            for model, targets in spread(GRPC_WAYS, fleet.targets).items()
        ]
        with running_gateway(configuration(models=models, timeouts=TIMEOUTS)) as gateway:
            return asyncio.run(seen(gateway, fleet, GRPC_WAYS, at_once=150))


@pytest.mark.parametrize("way", GRPC_WAYS, ids=model_of)
def test_each_fault_is_a_success_a_fail_over_or_an_error_that_says_so(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_told()


@pytest.mark.parametrize("way", [way for way in GRPC_WAYS if way[0].ejects], ids=model_of)
def test_p09_a_replica_that_fails_is_left_alone_within_three_seconds(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_standing()


@pytest.mark.parametrize("way", [way for way in GRPC_WAYS if not way[0].ejects], ids=model_of)
def test_p09_what_is_no_failure_of_a_replica_s_ejects_it_never(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_standing()

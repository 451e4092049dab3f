"""P06, P07, P09: of three replicas one is faulty, over HTTP. Callers are spared, or told so; it is soon left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from loadtests.prove.faults import HTTP_WAYS, LIMITS, OVER_HTTP, TIMEOUTS, Way, model_of, spread
from tests.support.faulty_models import Seen, seen
from tests.support.fleet import spawn_fleet
from tests.support.gateway import configuration, running_gateway


@pytest.fixture(scope="module")
def matrix() -> Mapping[str, Seen]:
    """All models are tried within the same seconds."""
    with spawn_fleet(len(HTTP_WAYS) + 2, OVER_HTTP) as fleet:
        models = [
            {
                "name": model,
                "engine": "openai",
                "upstream": "mock",
                "limits": LIMITS,
                "replicas": [{"url": url} for url in urls],
            }
            for model, urls in spread(HTTP_WAYS, fleet.urls).items()
        ]
        with running_gateway(configuration(models=models, timeouts=TIMEOUTS)) as gateway:
            return asyncio.run(seen(gateway, fleet, HTTP_WAYS, at_once=220))


@pytest.mark.parametrize("way", HTTP_WAYS, ids=model_of)
def test_each_fault_is_a_success_a_fail_over_or_an_error_that_says_so(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_told()


@pytest.mark.parametrize("way", [way for way in HTTP_WAYS if way[0].ejects], ids=model_of)
def test_p09_a_replica_that_fails_is_left_alone_within_three_seconds(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_standing()


@pytest.mark.parametrize("way", [way for way in HTTP_WAYS if not way[0].ejects], ids=model_of)
def test_p09_what_is_no_failure_of_a_replica_s_ejects_it_never(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_standing()

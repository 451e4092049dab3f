"""P06, P07, P09: of three replicas one is faulty, over HTTP. Callers are spared, or told so; it is soon left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.faulty_models import Fault, Seen, Way, model_of, seen, spread
from tests.support.fleet import spawn_fleet
from tests.support.gateway import configuration, running_gateway

TIMEOUTS = {"connect": 1.0, "first_token": 9.0, "inter_token": 1.0}
"""The second one ends what a silent replica has, too late to be what ejects it."""
WORKING = "tokens=12,ttft_ms=20,delay_ms=5,service_ms=80"


def before(fault: str, *, silent: bool = False, **settings: object) -> Fault:
    """Instead of content: another replica is asked, and callers notice nothing."""
    return Fault(fault, {"fault": fault.partition("-")[0], "after": 0, **settings}, silent=silent)


def midway(fault: str, told: str = "upstream_interrupted", *, silent: bool = False) -> Fault:
    """After content of a stream, or in the middle of a unary answer, which nobody has seen yet."""
    return Fault(f"{fault}-midway", {"fault": fault, "after": 5}, frozenset({told}), silent=silent)


def works(name: str, *ends: str, **settings: object) -> Fault:
    """It is no failure of the replica's."""
    return Fault(name, settings, frozenset(ends), ejects=False)


FAULTS = (
    before("reset"),
    before("accept_silent", silent=True),
    before("half_open", silent=True),
    before("headers_silent", silent=True),
    before("stall", silent=True),
    before("status-500", status=500),
    before("status-404", status=404),
    before("error_body_200"),
    before("reset_after"),
    before("eof_clean"),
    before("eof_close"),
    before("eof_delimited"),
    before("malformed"),
    before("error_event"),
    before("gzip"),
    Fault("refused", {}, listener="refused"),
    Fault("backlog_full", {}, listener="backlog_full"),
    midway("reset_after"),
    midway("stall", "upstream_timeout", silent=True),
    midway("drip", "upstream_timeout", silent=True),
    midway("eof_clean"),
    midway("eof_close"),
    midway("eof_delimited"),
    midway("cut"),
    midway("malformed"),
    midway("error_event"),
    works("healthy"),
    works("done_late", fault="done_late"),
    works("no_usage", fault="no_usage"),
    works("close_idle", fault="close_idle"),
    works("close_reuse", fault="close_reuse"),
    works("continue_100", fault="continue_100"),
    works("no_done_but_finish", fault="no_done_but_finish"),
    works("status-400", "context_length_exceeded", fault="status", status=400),
    works("status-413", "request_too_large", fault="status", status=413),
    works("status-422", "invalid_value", fault="status", status=422),
    works("early_response", "request_too_large", fault="early_response", status=413),
    works("status-429", fault="status", status=429, retry_after="1"),
    works("status-503", fault="status", status=503),
)
WAYS: tuple[Way, ...] = (
    *((fault, stream) for fault in FAULTS for stream in (True, False)),
    (works("wrong_length", fault="wrong_length"), True),  # whatever its framing says, [DONE] was there
    (before("wrong_length"), False),
)


@pytest.fixture(scope="module")
def matrix() -> Mapping[str, Seen]:
    """All models are tried within the same seconds."""
    with spawn_fleet(len(WAYS) + 2, WORKING) as fleet:
        models = [
            {"name": model, "engine": "openai", "upstream": "mock", "replicas": [{"url": url} for url in urls]}
            for model, urls in spread(WAYS, fleet.urls).items()
        ]
        with running_gateway(configuration(models=models, timeouts=TIMEOUTS)) as gateway:
            return asyncio.run(seen(gateway, fleet, WAYS, at_once=220))


@pytest.mark.parametrize("way", WAYS, ids=model_of)
def test_each_fault_is_a_success_a_fail_over_or_an_error_that_says_so(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_told()


@pytest.mark.parametrize("way", [way for way in WAYS if way[0].ejects], ids=model_of)
def test_p09_a_replica_that_fails_is_left_alone_within_three_seconds(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_standing()


@pytest.mark.parametrize("way", [way for way in WAYS if not way[0].ejects], ids=model_of)
def test_p09_what_is_no_failure_of_a_replica_s_ejects_it_never(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_standing()

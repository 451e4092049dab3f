"""P06, P07, P09 over gRPC: of three Triton servers one is faulty. Callers are spared, or told so; it is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.faulty_models import Fault, Seen, Way, model_of, seen, spread
from tests.support.fleet import spawn_fleet
from tests.support.gateway import configuration, running_gateway
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton_stand import behind

TIMEOUTS = {"connect": 1.0, "first_token": 9.0, "inter_token": 1.0}
"""The second one ends what a silent replica has, too late to be what ejects it."""
WORKING = "tokens=12,ttft_ms=20,delay_ms=6"
LONGEST_ANSWER = 1 << 16


def before(fault: str, *, silent: bool = False, **settings: object) -> Fault:
    """Instead of content: another replica is asked, and callers notice nothing."""
    return Fault(fault, {"fault": fault, "after": 0, **settings}, silent=silent)


def midway(fault: str, told: str = "upstream_interrupted", *, silent: bool = False, **settings: object) -> Fault:
    """After content of a stream, or in the middle of a unary answer, which nobody has seen yet."""
    return Fault(f"{fault}-midway", {"fault": fault, "after": 5, **settings}, frozenset({told}), silent=silent)


FAULTS = (
    before("accept_silent", silent=True),
    before("half_open", silent=True),
    before("stall", silent=True),
    before("reset"),
    before("status", status=14),
    before("reset_after"),
    before("error"),
    before("traceback"),
    before("eof_clean"),
    before("wrong_dtype"),
    before("missing_output"),
    before("invalid_utf8"),
    before("huge"),
    Fault("wedged", {"wedged": True}, silent=True),
    Fault("refused", {}, listener="refused"),
    Fault("backlog_full", {}, listener="backlog_full"),
    midway("reset_after"),
    midway("stall", "upstream_timeout", silent=True),
    midway("drip", "upstream_timeout", silent=True, drip_ms=20_000),
    midway("error"),
    midway("traceback"),
    midway("eof_clean"),
    midway("wrong_dtype"),
    midway("missing_output"),
    midway("invalid_utf8"),
    midway("huge"),
    Fault("healthy", {}, ejects=False),
    Fault("full", {"slots": 1, "max_queue": 1}, ejects=False),
)
WAYS: tuple[Way, ...] = tuple((fault, stream) for fault in FAULTS for stream in (True, False))


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Seen]:
    """All models are tried within the same seconds."""
    tokenizer = write_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    with spawn_fleet(len(WAYS) + 2, WORKING, contract="llmapi") as fleet:
        options = {"model": "tensorrt_llm", "max_message": LONGEST_ANSWER}
        models = [
            behind(model, tokenizer, *({"url": target, **options} for target in targets))
            for model, targets in spread(WAYS, fleet.targets).items()
        ]
        with running_gateway(configuration(models=models, timeouts=TIMEOUTS)) as gateway:
            return asyncio.run(seen(gateway, fleet, WAYS, at_once=150))


@pytest.mark.parametrize("way", WAYS, ids=model_of)
def test_each_fault_is_a_success_a_fail_over_or_an_error_that_says_so(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_told()


@pytest.mark.parametrize("way", [way for way in WAYS if way[0].ejects], ids=model_of)
def test_p09_a_replica_that_fails_is_left_alone_within_three_seconds(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_standing()


@pytest.mark.parametrize("way", [way for way in WAYS if not way[0].ejects], ids=model_of)
def test_p09_what_is_no_failure_of_a_replica_s_ejects_it_never(matrix: Mapping[str, Seen], way: Way) -> None:
    matrix[model_of(way)].check_standing()

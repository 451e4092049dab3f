"""How long requests wait and what a replica takes: for all, and for one version in place of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines.api import Capacity
from gateway.config import Config, ConfigError, check
from router.admission import PER_TOKEN


def configured(admission: dict[str, Any] | None = None, **model: Any) -> Config:
    own = {"name": "m", "engine": "scripted", **model}
    return check({"models": [own], **({} if admission is None else {"admission": admission})}, "x")


def waits(admission: dict[str, Any] | None = None, **model: Any) -> tuple[float, float, float]:
    config = configured(admission, **model)
    return config.models[0].patience(config.admission.start_within)


def test_without_a_word_the_queue_is_short_and_replicas_have_no_limits_but_their_own() -> None:
    config = configured()
    admission = config.admission
    assert (admission.queue, admission.queue_bytes, admission.tenant_share) == (2000, 256 * 1024 * 1024, 0.25)
    assert config.models[0].capacity == Capacity()
    assert waits() == (1, 2, 10)


def test_nobody_waits_by_default_until_the_status_of_a_refusal_is_lost() -> None:
    assert configured().timeouts.comment_grace > max(waits()) + PER_TOKEN * 32_768


def test_a_version_says_how_long_its_requests_wait_class_by_class() -> None:
    general = {"start_within": {"critical": "500ms", "batch": "1m"}}
    assert waits(general) == (0.5, 2, 60)
    assert waits(general, start_within={"standard": 5}) == (0.5, 5, 60)
    assert waits(general, start_within={"critical": 3, "standard": "4s", "batch": 5}) == (3, 4, 5)


def test_for_a_model_on_this_cpu_one_waits_longer_unless_it_is_told() -> None:
    assert waits({"start_within": {"batch": 5}}, engine="embedded") == (60, 60, 60)
    assert waits(engine="embedded", start_within={"critical": 1}) == (1, 60, 60)


def test_what_a_replica_may_have_is_set_one_by_one() -> None:
    limits = {"requests": 8, "prompt_tokens": 16_384, "kv_tokens": 200_000}
    assert configured(limits=limits).models[0].capacity == Capacity(8, 16_384, 200_000)
    assert configured(limits={"kv_tokens": 1}).models[0].capacity == Capacity(kv_tokens=1)
    assert configured(limits={}).models[0].capacity == Capacity()


@pytest.mark.parametrize(
    ("admission", "model", "path"),
    [
        ({"queue": -1}, {}, "admission.queue"),
        ({"queue": 100_001}, {}, "admission.queue"),
        ({"queue_bytes": 0}, {}, "admission.queue_bytes"),
        ({"tenant_share": 0}, {}, "admission.tenant_share"),
        ({"tenant_share": 1.01}, {}, "admission.tenant_share"),
        ({"tenant_share": float("nan")}, {}, "admission.tenant_share"),
        ({"start_within": {"standard": 0}}, {}, "admission.start_within.standard"),
        ({"start_within": {"urgent": 1}}, {}, "admission.start_within.urgent"),
        ({}, {"start_within": {"batch": "25h"}}, "models[0].start_within.batch"),
        ({}, {"start_within": 5}, "models[0].start_within"),
        ({}, {"limits": {"requests": 0}}, "models[0].limits.requests"),
        ({}, {"limits": {"requests": 10**25}}, "models[0].limits.requests"),
        ({}, {"limits": {"prompt_tokens": 10**25}}, "models[0].limits.prompt_tokens"),
        ({}, {"limits": {"kv_tokens": 10**25}}, "models[0].limits.kv_tokens"),
        ({}, {"limits": {"prompt_tokens": "8kB"}}, "models[0].limits.prompt_tokens"),
        ({}, {"limits": {"tokens": 1}}, "models[0].limits.tokens"),
    ],
    ids=range(16),
)
def test_what_can_t_be_meant_is_refused_with_its_path(
    admission: dict[str, Any], model: dict[str, Any], path: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(admission, **model)
    _, *lines = str(caught.value).splitlines()
    assert [line.strip().split(": ")[0] for line in lines] == [path]


def test_what_is_learned_is_kept_in_no_file_but_the_one_that_is_named() -> None:
    assert configured().admission.costs is None
    assert configured({"costs": "var/costs.json"}).admission.costs == Path("var/costs.json")


def test_no_queue_at_all_and_a_queue_for_one_tenant_can_be_meant() -> None:
    admission = configured({"queue": 0, "tenant_share": 1}).admission
    assert (admission.queue, admission.tenant_share) == (0, 1)

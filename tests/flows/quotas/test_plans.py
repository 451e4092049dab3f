"""Whose limits bind whom: each key's, all of a tenant's keys together, one model's; and plans that are only tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import plain
from tests.support.databases import sqlite
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.limited import left, limited, plan, refused, slots_taken
from tests.support.queueing import Queueing, named, served
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until

RPM = "requests_per_minute"


def statuses(place: Queueing, times: int, who: str = "acme", **members: Any) -> list[int]:
    return [place.ask(named("each", **members), who).answer.status for _ in range(times)]


def second_key(place: Queueing, folder: Path) -> str:
    """Of acme, too."""
    place.keys = {**place.keys, "second": KeyBook(sqlite(folder)).key("acme")}
    return "second"


def test_a_key_s_limit_is_its_own(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with limited(fleet, tmp_path, plan(key={RPM: 2})) as place:
        other = second_key(place, tmp_path)
        assert statuses(place, 3) == [200, 200, 429]
        assert statuses(place, 3, other) == [200, 200, 429]


def test_a_tenant_s_limit_binds_all_of_its_keys_together(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with limited(fleet, tmp_path, plan(key={RPM: 2}, tenant={RPM: 3})) as place:
        other = second_key(place, tmp_path)
        assert statuses(place, 2) == [200, 200]
        answer = place.ask(named("first"), other).answer
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit-requests"] == "3", "that has least left"
        message, _ = refused(place.ask(named("second"), other).answer)
        assert message.startswith("Over the tenant's limit")
        assert left(place, other) == {f"key:{RPM}": 1, f"tenant:{RPM}": 0}, "of none is taken what one refuses"


def test_a_model_s_limit_binds_that_model_alone_and_all_keys(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with limited(fleet, tmp_path, plan(models=[{"model": "mock", RPM: 2}])) as place:
        assert statuses(place, 1, second_key(place, tmp_path)) == [200]
        assert statuses(place, 2) == [200, 429]
        assert statuses(place, 3, model="other") == [200, 200, 200]


def test_a_model_has_one_limit_by_whatever_name_it_is_asked_for(fleet: SpawnedFleet, tmp_path: Path) -> None:
    routing = [{"model": "mock", "aliases": ["gpt"]}]
    with limited(fleet, tmp_path, plan(models=[{"model": "mock", RPM: 3}]), routing=routing) as place:
        assert [*statuses(place, 1), *statuses(place, 2, model="gpt")] == [200, 200, 200]
        assert [*statuses(place, 1), *statuses(place, 1, model="gpt")] == [429, 429]


def test_where_a_fall_back_answers_the_limit_of_the_model_that_was_asked_counts(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    models = [served(fleet.urls, 1), served(fleet.urls, None, "other")]
    routing = [{"model": "mock", "fallback": {"models": ["other"], "when": ["overload"]}}]
    allowed = plan(models=[{"model": "mock", RPM: 2}, {"model": "other", RPM: 1}])
    sections: dict[str, Any] = {"models": models, "routing": routing, "admission": {"queue": 1}}
    with limited(fleet, tmp_path, allowed, tenants={"acme": {}, "busy": {}}, **sections) as place:
        with place.holding(who="busy"):
            waiting = place.lining_up(named("second"), "busy")
            answer = place.ask(named("each"), "acme").answer
            assert (answer.status, answer.headers["x-gateway-degraded"]) == (200, "model=other;reason=overload")
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
            assert left(place) == {f"model:{RPM}": 1}
            assert left(place, model="other") == {f"model:{RPM}": 1}
        assert waiting.result().told == (200, "")


def test_a_tenant_s_plan_decides(fleet: SpawnedFleet, tmp_path: Path) -> None:
    tenants = {"acme": {}, "rich": {"plan": "gold"}, "odd": {"plan": "not-listed"}}
    with limited(fleet, tmp_path, plan(key={RPM: 1}), plan("gold", key={RPM: 3}), tenants=tenants) as place:
        assert statuses(place, 2) == [200, 429]
        assert statuses(place, 4, "rich") == [200, 200, 200, 429]
        assert statuses(place, 2, "odd") == [200, 429]


def test_who_is_on_no_plan_is_not_limited_and_told_nothing(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with limited(fleet, tmp_path, plan("gold", key={RPM: 1})) as place:
        answers = [place.ask(named("each"), "acme").answer for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * 3
        assert not [name for answer in answers for name in answer.headers if "ratelimit" in name]


@pytest.mark.parametrize("name", [RPM, "output_tokens_per_minute", "concurrent_requests"])
def test_a_plan_that_is_tried_refuses_nobody_and_counts_whom_it_would_have(
    fleet: SpawnedFleet, tmp_path: Path, name: str
) -> None:
    with limited(fleet, tmp_path, plan(key={name: 1}, enforce=False)) as place:
        waiting = [place.asking(named("each", "service_ms=300"), "acme") for _ in range(5)]
        answers = [one.result().answer for one in waiting]
        assert [answer.status for answer in answers] == [200] * 5
        assert not [name for answer in answers for name in answer.headers if "ratelimit" in name]
        would = 5 if name == "output_tokens_per_minute" else 4
        page = wait_until(
            lambda: plain.get(f"{place.gateway.ops_url}/metrics").text,
            lambda page: metric(page, "snowshed_over_limit_total") == would,
        )
        assert metric(page, "snowshed_over_limit_total", holder="key", limit=name, enforced="false") == would
        assert slots_taken(place) == 0

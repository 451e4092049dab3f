"""Budgets of money: held before, charged what the ledger writes down, and refused as SDKs know not to try again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.store.spending import Wanted
from tests.support import plain
from tests.support.asking import body
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.limited import limited, plan
from tests.support.queueing import Queueing, named

PRICES = [{"model": name, "input": "1000", "output": "2000"} for name in ("mock", "other")]
"""A token of a prompt costs a thousandth, one of an answer two."""


@contextmanager
def paying(fleet: SpawnedFleet, folder: Path, *plans: dict[str, Any], **sections: Any) -> Iterator[Queueing]:
    ledger = {"every": "20ms", "prices": PRICES}
    with limited(fleet, folder, *plans, ledger=ledger, **sections) as place:
        yield place


def written(place: Queueing, requests: int) -> int:
    """Millionths that the ledger has of these days, once it has so many requests."""
    ledger = place.gateway.objects.ledger
    assert ledger is not None
    place.gateway.wait_until(lambda: ledger.written == requests)

    async def look() -> int:
        days = [datetime.now(UTC).date() + timedelta(days=more) for more in (-1, 0)]
        return await ledger._registry.ask(lambda them: them.usage.cost(days, Wanted()))

    return place.gateway.wait_for(look())


def counted(place: Queueing) -> dict[str, int]:
    """Millionths of each budget, by the end of its key, as the process has them in memory."""
    purse = place.gateway.objects.limiter.purse  # type: ignore[attr-defined]
    return {key.rpartition(":")[2].partition("@")[0]: spent for key, spent in purse._spent.items()}


def over_limit(place: Queueing, **labels: str) -> float:
    return metric(plain.get(f"{place.gateway.ops_url}/metrics").text, "snowshed_over_limit_total", **labels)


def test_p17_what_is_spent_is_refused_as_openai_does_and_no_sdk_tries_again(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    with paying(fleet, tmp_path, plan(tenant={"budgets": {"month": "0.000001"}})) as place:
        with (
            plain.client() as http,
            openai.OpenAI(
                base_url=f"{place.gateway.url}/v1", api_key=place.keys["acme"].text, max_retries=5, http_client=http
            ) as client,
            pytest.raises(openai.RateLimitError) as caught,
        ):
            client.chat.completions.create(**body(), extra_headers={"x-client-request-id": "once"})
        error = caught.value
        assert (error.code, error.type, error.param) == ("insufficient_quota", "insufficient_quota", None)
        assert error.response.headers["x-should-retry"] == "false"
        assert "retry-after" not in error.response.headers
        ends = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).strftime("%Y-%m-01T00:00:00Z")
        assert "the tenant's budget of 0.000001 a month (0.000001) does not pay for this request" in error.message
        assert f"it begins anew at {ends}." in error.message
        assert place.asked() == []
        over = over_limit(place, holder="tenant", limit="month_budget", enforced="true")
        assert over == 1
        assert place.record("once")["reason"] == "tenant:month_budget"


def test_what_is_charged_is_what_the_ledger_writes_down(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """Of answers, failures and those who leave, to the millionth; nothing stays held."""
    budgets = {"budgets": {"day": 1000, "month": 5000}}
    with paying(fleet, tmp_path, plan(tenant=budgets, key=budgets, models=[{"model": "mock", **budgets}])) as place:
        directives = ["tokens=7", "tokens=3", "fault=status,status=500", "tokens=5", "fault=status,status=400"] * 4
        asking = [
            place.asking(named(f"n{turn}", directive, stream=turn % 2 == 0, max_tokens=10), "acme")
            for turn, directive in enumerate(directives)
        ]
        for one in asking:
            one.result()
        with place.holding(2, "acme", stream=True):
            pass
        spent = written(place, 22)
        assert spent > 0
        assert counted(place) == {"day_budget": spent, "month_budget": spent}
        purse = place.gateway.objects.limiter.purse  # type: ignore[attr-defined]
        assert set(purse._spent.values()) == {spent}
        assert len(purse._spent) == 6


def test_a_gateway_goes_on_with_what_the_ledger_has(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with paying(fleet, tmp_path, plan(tenant={"budgets": {"day": 10}})) as place:
        for turn in range(3):
            assert place.ask(named(f"n{turn}", "tokens=7"), "acme").answer.status == 200
        spent = written(place, 3)
        place.gateway.objects.limiter.purse.__init__()  # type: ignore[attr-defined,misc]  # as after a restart
        assert place.ask(named("next", "tokens=7"), "acme").answer.status == 200
        assert counted(place)["day_budget"] == written(place, 4) > spent


def test_a_dry_run_counts_and_charges_all_the_same(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with paying(fleet, tmp_path, plan(enforce=False, key={"budgets": {"day": "0.000001"}})) as place:
        for turn in range(2):
            assert place.ask(named(f"n{turn}"), "acme").answer.status == 200
        over = over_limit(place, holder="key", limit="day_budget", enforced="false")
        assert over == 2
        assert counted(place)["day_budget"] == written(place, 2)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_an_answer_ends_where_its_budget_does_if_its_plan_says_so(
    fleet: SpawnedFleet, tmp_path: Path, *, stream: bool
) -> None:
    """A token of an answer costs two thousandths: no more than 300 are paid for, of which the prompt takes some."""
    with paying(fleet, tmp_path, plan(tenant={"budgets": {"day": "0.6"}}, cut_answers=True)) as place:
        answer = place.ask(named("asks", "tokens=1000", stream=stream), "acme").answer
        assert answer.finish_reasons == ["length"]
        (call,) = place.wait_for_asked(1)
        assert answer.headers["x-gateway-capped"] == f"max_tokens={call.tokens};reason=quota"
        assert 256 < call.tokens < 300
        place.gateway.wait_idle()
        assert 560_000 < counted(place)["day_budget"] <= 600_000

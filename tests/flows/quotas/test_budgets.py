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
from tests.flows.quotas.conftest import STORE, VARIABLE
from tests.support import plain
from tests.support.asking import ask, body
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import RunningGateway, metric, running_gateway
from tests.support.ledgers import bring_back, take_away
from tests.support.limited import limited, plan
from tests.support.queueing import Queueing, named, served
from tests.support.valkey import ValkeyServer, running_valkey
from tests.support.waiting import wait_until

PRICES = [{"model": name, "input": "1000", "output": "2000"} for name in ("mock", "other")]
"""A token of a prompt costs a thousandth, one of an answer two."""
EXHAUSTED = "insufficient_quota"


@pytest.fixture
def valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


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
    return sum_of(place.gateway)


def sum_of(gateway: RunningGateway) -> int:
    """Millionths that its ledger has of these days."""
    ledger = gateway.objects.ledger
    assert ledger is not None

    async def look() -> int:
        days = [datetime.now(UTC).date() + timedelta(days=more) for more in (-1, 0)]
        (sum_of_days,) = await ledger._registry.ask(lambda them: them.usage.costs([(days, Wanted())]))
        return sum_of_days

    return gateway.wait_for(look())


def counted(place: Queueing) -> dict[str, int]:
    """Millionths of each budget, by the end of its key, as the process has them in memory."""
    purse = place.gateway.objects.limiter.purse  # type: ignore[attr-defined]
    return {key.rpartition(":")[2].partition("@")[0]: spent for key, spent in purse._spent.items()}


def shared(valkey: ValkeyServer) -> set[int]:
    """The same, as the store has them; nothing is held."""
    with valkey.client() as client:
        found = [client.hgetall(key) for key in client.keys("snowshed:*budget@*")]
    assert all(len(one) >= 2 for one in found)
    return {sum(int(value) for name, value in one.items() if name != "since") for one in found}


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


def test_a_model_with_a_colon_in_its_name_costs_what_it_costs(fleet: SpawnedFleet, tmp_path: Path) -> None:
    colon = "mock:7b"
    prices = {"prices": [{**PRICES[0], "model": name} for name in (colon, "other")]}
    models, spent = (
        [served(fleet.urls, None, colon), served(fleet.urls, None, "other")],
        {"budgets": {"day": "0.000001"}},
    )
    with limited(fleet, tmp_path, plan(tenant=spent), models=models, ledger=prices) as place:
        assert place.ask(named("asks", model=colon), "acme").told == (429, EXHAUSTED)


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


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_an_answer_that_nobody_counted_is_not_free(fleet: SpawnedFleet, tmp_path: Path, *, stream: bool) -> None:
    """In one piece it costs what was expected, in chunks those."""
    with paying(fleet, tmp_path, plan(tenant={"budgets": {"day": 10}})) as place:
        wanted = named("asks", "tokens=40,fault=no_usage", stream=stream, max_tokens=40)
        assert place.ask(wanted, "acme").told == (200, "")
        spent = written(place, 1)
        assert counted(place) == {"day_budget": spent}
        assert 40 * 2000 < spent < 100 * 2000


def test_a_gateway_goes_on_with_what_the_ledger_has(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """After a restart: the budget pays for as much as if there had been none."""
    with paying(fleet, tmp_path, plan(tenant={"budgets": {"month": "0.150"}})) as place:
        spent = 0
        for turn in range(3):
            assert place.ask(named(f"n{turn}", "tokens=7", max_tokens=7), "acme").answer.status == 200
            spent = counted(place)["month_budget"]
    sent, wanted = place.headers("acme"), named("again", "tokens=7", max_tokens=7)
    with running_gateway(place.tree) as gateway, gateway.client() as http:
        answers = [ask(http, wanted, sent) for _ in range(20)]
        passed = sum(answer.status == 200 for answer in answers)
        assert 0 < passed < 20
        assert {answer.error["code"] for answer in answers if answer.error} == {EXHAUSTED}
        (after,) = gateway.objects.limiter.purse._spent.values()  # type: ignore[attr-defined]
        assert spent < after <= 150_000
        assert wait_until(lambda: sum_of(gateway), after.__eq__) == after


def test_a_store_that_forgets_is_told_by_the_ledger_and_by_who_was_under_way(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    budgets = {"budgets": {"month": 1000}}
    with paying(fleet, tmp_path, plan(tenant=budgets, key=budgets), quotas=STORE) as place:
        for turn in range(3):
            assert place.ask(named(f"n{turn}", "tokens=7"), "acme").answer.status == 200
        written(place, 3)
        slow = place.asking(named("slow", "tokens=9,service_ms=2000,ttft_ms=1000"), "acme")
        wait_until(lambda: len(place.asked()), (4).__eq__)
        with valkey.client() as client:
            client.flushall()
        assert place.ask(named("next", "tokens=5"), "acme").answer.status == 200
        assert slow.result().answer.status == 200
        spent = written(place, 5)
        assert wait_until(lambda: shared(valkey), {spent}.__eq__) == {spent}


def test_p03_without_the_store_no_money_is_spent_once_its_grace_is_over(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    quotas = {**STORE, "budget_grace": "1ms"}
    with paying(fleet, tmp_path, plan(tenant={"budgets": {"month": 1000}}), quotas=quotas) as place:
        assert place.ask(named("before"), "acme").answer.status == 200
        valkey.stop()
        told = [place.ask(named("meanwhile"), "acme").told for _ in range(10)]
        assert told[-1] == (503, "limits_unavailable")
        assert {status for status, _ in told} <= {200, 503}
        assert plain.get(f"{place.gateway.ops_url}/readyz").status_code == 200
        valkey.start()
        wait_until(lambda: place.ask(named("after"), "acme").answer.status == 200)


def test_a_dry_run_counts_and_charges_all_the_same(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with paying(fleet, tmp_path, plan(enforce=False, key={"budgets": {"day": "0.000001"}})) as place:
        for turn in range(2):
            assert place.ask(named(f"n{turn}"), "acme").answer.status == 200
        over = over_limit(place, holder="key", limit="day_budget", enforced="false")
        assert over == 2
        assert counted(place)["day_budget"] == written(place, 2)


def test_a_dry_run_refuses_nobody_where_money_can_t_be_counted(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with paying(fleet, tmp_path, plan(enforce=False, key={"budgets": {"day": 1}})) as place:
        assert place.ask(named("known", model="nobody_s"), "acme").told == (404, "model_not_found")
        take_away(tmp_path / "snowshed.db")
        assert place.ask(named("asks"), "acme").told == (200, "")
        bring_back(tmp_path / "snowshed.db")
        assert place.ask(named("asks"), "acme").told == (200, "")
        assert over_limit(place, holder="key", limit="day_budget", enforced="false") == 0
        assert counted(place)["day_budget"] > 0


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

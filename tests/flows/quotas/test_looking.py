"""Those who run a gateway look at the limits of a key or a tenant: by which plan, why that one, and what is left."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from security.keys import NewKey
from tests.support import plain
from tests.support.admin import admin_port
from tests.support.command_line import complaint, snowshed
from tests.support.databases import sqlite
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.issuer import token_issuer
from tests.support.knocking import QUESTION
from tests.support.limited import WHOLE_DAY, limited, plan
from tests.support.queueing import Queueing, named
from tests.support.stored import KeyBook
from tests.support.valkey import ValkeyServer, running_valkey
from tests.support.waiting import wait_until

VARIABLE = "LOOKED_AT"
RPM, DAY, SLOTS = "requests_per_minute", "tokens_per_day", "concurrent_requests"
RICH = plan("rich", key={DAY: WHOLE_DAY, SLOTS: 3}, models=[{"model": "mock", SLOTS: 2}], without_store="closed")


class Viewer:
    """Somebody with the scope to look, at a command line."""

    def __init__(self, gateway: RunningGateway, key: NewKey) -> None:
        url = f"http://127.0.0.1:{admin_port(gateway)}"
        self._environment = {"SNOWSHED_ADMIN_URL": url, "SNOWSHED_ADMIN_KEY": key.text}

    def show(self, name: str) -> Any:
        return json.loads(self.said(name, "--json"))

    def said(self, *words: str) -> str:
        ended = snowshed("limits", "show", *words, given=b"", **self._environment)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def refused(self, name: str, status: int = 1) -> str:
        return complaint(snowshed("limits", "show", name, given=b"", **self._environment), status)

    def standing(self, name: str) -> dict[str, tuple[int, int | None]]:
        """Of each limit what is left, and what is in use."""
        found = self.show(name)["limits"]
        return {":".join((one["holder"], one["name"])): (one["remaining"], one["in_use"]) for one in found}


def viewer_s_key(book: KeyBook) -> NewKey:
    """Made before a gateway starts, which then opens its admin listener at once."""
    book.tenant("ops")
    return book.key("ops", scopes=["viewer"])


@contextmanager
def looked_at(
    fleet: SpawnedFleet, folder: Path, *plans: dict[str, Any], tenants: Any = None, **sections: Any
) -> Iterator[tuple[Queueing, Viewer]]:
    key = viewer_s_key(KeyBook(sqlite(folder)))
    with limited(fleet, folder, *plans, tenants=tenants or {"acme": {"plan": "rich"}}, **sections) as place:
        yield place, Viewer(place.gateway, key)


@pytest.fixture(params=["local", "shared"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyServer | None]:
    """Where limits are counted: here, or in a Valkey."""
    with ExitStack() as stack:
        server = stack.enter_context(running_valkey("pass-word")) if request.param == "shared" else None
        if server:
            monkeypatch.setenv(VARIABLE, server.url)
        yield server


def of(store: ValkeyServer | None) -> dict[str, Any]:
    return {"store": {"env": VARIABLE}} if store else {}


def test_a_key_s_limits_stand_as_requests_left_them_and_looking_takes_nothing(
    fleet: SpawnedFleet, tmp_path: Path, store: ValkeyServer | None
) -> None:
    with looked_at(fleet, tmp_path, RICH, quotas=of(store)) as (place, viewer):
        key = place.keys["acme"].id
        untouched = {f"key:{DAY}": (WHOLE_DAY, None), f"key:{SLOTS}": (3, 0), f"model:{SLOTS}": (2, 0)}
        assert viewer.standing(key) == untouched
        place.ask(named("first"), "acme")
        (call,) = place.asked()
        left = WHOLE_DAY - call.prompt_tokens - call.tokens
        expected = {**untouched, f"key:{DAY}": (left, None)}
        assert wait_until(lambda: viewer.standing(key), expected.__eq__) == expected
        with place.holding(2, "acme"):
            taken = viewer.standing(key)
            assert (taken[f"key:{SLOTS}"], taken[f"model:{SLOTS}"]) == ((1, 2), (0, 2))
            assert taken[f"key:{DAY}"][0] < left
        found = viewer.show(key)
    assert (found["key"], found["tenant"], found["store"]) == (key, "acme", "shared" if store else "local")
    assert [(one["model"], one["limit"]) for one in found["limits"]] == [("", WHOLE_DAY), ("", 3), ("mock", 2)]
    assert 0 < found["limits"][0]["full_in"] < 86_400
    assert [one["full_in"] for one in found["limits"][1:]] == [None, None]


def test_a_tenant_s_limits_are_those_of_all_its_keys(fleet: SpawnedFleet, tmp_path: Path) -> None:
    both = plan("rich", key={DAY: 1000}, tenant={DAY: WHOLE_DAY})
    with looked_at(fleet, tmp_path, both) as (place, viewer):
        place.ask(named("first"), "acme")
        other = KeyBook(sqlite(tmp_path)).key("acme").id
        found = viewer.show("acme")
        assert (found["key"], [one["holder"] for one in found["limits"]]) == (None, ["tenant"])
        left = found["limits"][0]["remaining"]
        assert left < WHOLE_DAY
        assert viewer.standing(other) == {f"key:{DAY}": (1000, None), f"tenant:{DAY}": (left, None)}


@pytest.mark.parametrize(
    ("tenant", "plans", "expected", "said"),
    [
        ({"plan": "rich"}, [RICH], ("rich", "file", "rich"), "rich, named by the tenant\n"),
        (
            {}, [plan(key={RPM: 5}), RICH], ("default", "file", "default"),
            "default, named by the tenant; none of its limits binds all keys together\n",
        ),
        (
            {"plan": "old"}, [plan(key={RPM: 5}), RICH], ("default", "file", "old"),
            "default, as old is not listed (named by the tenant); none of its",
        ),
        ({"plan": "old"}, [RICH], (None, None, "old"), "none: old, named by the tenant, is not listed, nor is there a"),
        ({}, [plan()], ("default", "file", "default"), "default, named by the tenant; none of its limits binds"),
    ],
)  # fmt: skip
def test_it_is_told_which_plan_holds_and_why(
    fleet: SpawnedFleet, tmp_path: Path, tenant: Any, plans: Any, expected: Any, said: str
) -> None:
    with looked_at(fleet, tmp_path, *plans, tenants={"acme": tenant}) as (_, viewer):
        found = viewer.show("acme")
        assert (found["plan"], found["plan_from"], found["named"], found["named_by"]) == (*expected, "tenant")
        assert f"plan     {said}" in viewer.said("acme")


def test_a_plan_that_is_only_tried_is_shown_with_what_would_be_left(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with looked_at(fleet, tmp_path, {**RICH, "enforce": False}) as (place, viewer):
        place.ask(named("first"), "acme")
        found = viewer.show("acme")
        assert (found["enforced"], found["without_store"], found["gateways"]) == (False, "closed", 1)
        assert viewer.standing(place.keys["acme"].id)[f"key:{DAY}"][0] < WHOLE_DAY
        assert "enforced no: it is only counted what would be refused\n" in viewer.said("acme")


def test_people_are_told_in_a_table(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with looked_at(fleet, tmp_path, RICH) as (place, viewer):
        key = place.keys["acme"].id
        with place.holding(who="acme"):
            head, *rows = viewer.said(key).split("\n\n")[1].splitlines()
        assert viewer.said(key).splitlines()[:4] == [
            f"caller   tenant acme, key {key}",
            "plan     rich, named by the tenant",
            "enforced yes",
            "counted  in this gateway, for itself",
        ]
    assert head.split() == ["OF", "LIMIT", "AT", "ONCE", "LEFT", "FULL", "AGAIN", "SAID", "BY"]
    assert [row.split()[:-4] for row in rows[1:]] == [
        ["key", "concurrent", "requests", "3", "2"],
        ["model", "mock", "concurrent", "requests", "2", "1"],
    ]
    assert rows[1].endswith("  1 under way  plan")
    assert re.search(r"  in [\dhms.]+s +plan$", rows[0])


def test_who_has_said_each_limit_is_told(fleet: SpawnedFleet, tmp_path: Path) -> None:
    overrides = {"tenants": [{"name": "acme", "until": "2999-01-01", "key": {SLOTS: 9}}]}
    with looked_at(fleet, tmp_path, RICH, quotas={"overrides": overrides}) as (place, viewer):
        said = viewer.said(place.keys["acme"].id)
        assert "override of the tenant, of the file, until 2999-01-01" in said.splitlines()
        slots = next(row for row in said.splitlines() if row.startswith("key") and "concurrent" in row)
        assert slots.split()[3:] == ["9", "9", "0", "under", "way", "override", "of", "the", "tenant"]
        by = {(one["holder"], one["name"]): one["said_by"] for one in viewer.show(place.keys["acme"].id)["limits"]}
        assert by == {("key", DAY): "plan", ("key", SLOTS): "tenant", ("model", SLOTS): "plan"}


def test_what_is_left_of_budgets_and_when_they_begin_anew_is_shown(
    fleet: SpawnedFleet, tmp_path: Path, store: ValkeyServer | None
) -> None:
    prices = {"prices": [{"model": name, "input": "1000", "output": "2000"} for name in ("mock", "other")]}
    rich = plan("rich", key={"budgets": {"day": "7.50"}}, models=[{"model": "mock", "budgets": {"month": 100}}])
    with looked_at(fleet, tmp_path, rich, quotas=of(store), ledger=prices) as (place, viewer):
        key = place.keys["acme"].id

        def spent() -> list[str]:
            return [one["spent"] for one in viewer.show(key)["budgets"]]

        assert spent() == ["0.000000", "0.000000"]
        assert place.ask(named("first", max_tokens=5), "acme").told == (200, "")
        (call,) = place.asked()
        cost = f"0.{call.prompt_tokens * 1000 + call.tokens * 2000:06}"
        assert wait_until(spent, [cost, cost].__eq__) == [cost, cost]
        day, month = viewer.show(key)["budgets"]
        assert (day["holder"], day["model"], day["period"], day["limit"]) == ("key", "", "day", "7.500000")
        assert (month["holder"], month["model"], month["period"]) == ("model", "mock", "month")
        assert float(day["remaining"]) == pytest.approx(7.5 - float(cost))
        assert 0 < day["ends"] - time.time() <= 86_400
        rows = viewer.said(key).splitlines()[-2:]
        assert [row.split()[0] for row in rows] == ["key", "model"]
        assert "budget of a day" in rows[0]
        assert rows[0].endswith("00:00:00 UTC  plan")


def test_while_the_store_is_away_what_is_known_is_shown(
    fleet: SpawnedFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_valkey() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        tried = plan("tried", key={RPM: 5}, without_store="closed", enforce=False)
        tenants = {"acme": {"plan": "rich"}, "eve": {"plan": "tried"}}
        with looked_at(fleet, tmp_path, RICH, tried, tenants=tenants, quotas=of(server)) as (place, viewer):
            key = place.keys["acme"].id
            place.ask(named("first"), "acme")
            wait_until(lambda: viewer.standing(key)[f"key:{DAY}"][0] < WHOLE_DAY)
            before = viewer.standing(key)[f"key:{DAY}"]
            server.stop()
            found = wait_until(lambda: viewer.show(key), lambda found: found["store"] == "away")
            assert (found["limits"][0]["remaining"], found["without_store"]) == (before[0], "closed")
            assert "meanwhile nobody passes\n" in viewer.said(key)
            assert "meanwhile nobody is refused\n" in viewer.said(place.keys["eve"].id)
            server.start()
            wait_until(lambda: viewer.show(key)["store"] == "shared")


@pytest.mark.parametrize("way", ["token", "mesh"])
def test_who_has_no_key_is_known_once_they_have_asked(fleet: SpawnedFleet, tmp_path: Path, way: str) -> None:
    """Until then nobody here knows which plan their token names, or whether there is such a workload at all."""
    book = KeyBook(sqlite(tmp_path))
    key = viewer_s_key(book)
    with token_issuer() as issuer:
        jwt = issuer.options(claims={"tenant": "org", "plan": "tier"})
        rule = {"identity": "spiffe://cluster.local/ns/{tenant}/sa/*", "plan": "rich"}
        mesh = {"header": "x-workload", "peers": ["127.0.0.1"], "identities": [rule]}
        auth = {"kind": "keys", "sqlite": book.url.removeprefix("sqlite:///"), "jwt": jwt, "mesh": mesh}
        tree = configuration(fleet.urls, auth=auth, admin={"port": 0}, quotas={"plans": [plan(key={RPM: 5}), RICH]})
        token = {"authorization": f"Bearer {issuer.token(sub='alice', org='ml', tier='rich')}"}
        workload = {"x-workload": "spiffe://cluster.local/ns/ml/sa/batch"}
        name = {"token": "jwt:alice", "mesh": "mesh:spiffe://cluster.local/ns/ml/sa/batch"}[way]
        with running_gateway(tree) as gateway:
            viewer = Viewer(gateway, key)
            viewer.refused(name)
            shown = token if way == "token" else workload
            url = f"{gateway.url}/v1/chat/completions"
            assert plain.post(url, json=QUESTION, headers=shown).status_code == 200
            for asked, seen in ((name, name), ("ml", None)):
                found = viewer.show(asked)
                assert (found["key"], found["tenant"]) == (seen, "ml")
                assert (found["plan"], found["named"], found["named_by"]) == ("rich", "rich", way)
            assert viewer.standing(name)[f"key:{DAY}"][0] < WHOLE_DAY


@pytest.mark.parametrize("name", ["nobody", "000000000000", "jwt:nobody", "../keys", "x" * 128])
def test_who_is_not_known_is_told_without_being_named(fleet: SpawnedFleet, tmp_path: Path, name: str) -> None:
    with looked_at(fleet, tmp_path, RICH) as (_, viewer):
        said = viewer.refused(name)
        assert said.startswith("There is no key or tenant of that name")
        assert name not in said


def test_what_is_no_text_is_a_mistake() -> None:
    """As a shell gives it on: bytes that are not UTF-8."""
    said = complaint(snowshed("limits", "show", os.fsdecode(b"\xff"), SNOWSHED_ADMIN_KEY="k"), 2)
    assert said.endswith("is no text in UTF-8.")


def test_a_whole_key_is_not_sent_anywhere(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with looked_at(fleet, tmp_path, RICH) as (place, viewer):
        said = viewer.refused(place.keys["acme"].text, 2)
        assert said.startswith("KEY takes a key's id")
        assert place.keys["acme"].text not in said

"""What is done to a replica over HTTP holds in this process at once, and is in the audit trail."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.flows.admin.conftest import Administration, administration
from tests.support.envelopes import enveloped
from tests.support.knocking import ask
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until


def replica(client: httpx2.Client, name: str = "mock-0") -> dict[str, Any]:
    return next(row for row in client.get("/v1/replicas").json()["data"] if row["name"] == name)


def test_a_replica_that_is_drained_gets_no_work_until_it_is_restored(admin: Administration) -> None:
    client, url, caller = admin.client("operator"), admin.gateway.url, admin.keys["inference"]
    answer, _ = (client.post("/v1/replicas/mock-0/drain") for _ in "ab")
    assert (answer.json()["drained"], answer.json()["ready"], answer.json()["reason"]) == (True, False, "draining")
    assert ask(url, caller).status_code == 503
    assert ask(url, caller, "other").status_code == 200
    answer, _ = (client.post("/v1/replicas/mock-0/restore") for _ in "ab")
    assert (answer.json()["drained"], answer.json()["ready"]) == (False, True)
    assert ask(url, caller).status_code == 200
    trail = client.get("/v1/audit?object=mock-0").json()["data"]
    assert [(one["action"], one["kind"], one["before"], one["after"]) for one in trail] == [
        ("drain", "replica", {"drained": False, "ejected": False}, {"drained": True, "ejected": False}),
        ("restore", "replica", {"drained": True, "ejected": False}, {"drained": False, "ejected": False}),
    ]


def test_a_replica_is_ejected_for_a_while_or_until_it_is_restored(admin: Administration) -> None:
    client, url, caller = admin.client("operator"), admin.gateway.url, admin.keys["inference"]
    assert client.post("/v1/replicas/mock-0/eject", json={"seconds": 0.1}).json()["state"] == "ejected"
    wait_until(lambda: replica(client)["state"], lambda state: state == "probing")
    assert ask(url, caller).status_code == 200, "which was the probe"
    assert replica(client)["state"] == "slow_start"

    answer = client.post("/v1/replicas/mock-0/eject", json={"seconds": None})
    assert (answer.json()["ready"], answer.json()["reason"]) == (False, "ejected: by hand")
    assert ask(url, caller).status_code == 503
    assert client.post("/v1/replicas/mock-0/restore").json()["state"] == "closed"
    assert ask(url, caller).status_code == 200

    trail = client.get("/v1/audit?object=mock-0").json()["data"]
    assert [(one["action"], one["after"].get("seconds")) for one in trail] == [
        ("eject", 0.1), ("eject", None), ("restore", None)
    ]  # fmt: skip
    events = client.get("/v1/events").json()
    assert [(one["number"], one["replica"], one["before"], one["after"]) for one in events["data"]] == [
        (1, "mock-0", "closed", "ejected"),
        (2, "mock-0", "ejected", "probing"),
        (3, "mock-0", "probing", "slow_start"),
        (4, "mock-0", "slow_start", "ejected"),
        (5, "mock-0", "ejected", "closed"),
    ]
    assert events["next"] is None
    assert client.get("/v1/events?after=3&limit=1").json() == {"data": [events["data"][3]], "next": 4}


def test_one_that_is_out_is_asked_all_the_same_where_no_other_is_left(book: KeyBook) -> None:
    away = {"name": "away", "engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1"}]}
    with administration(book, [away]) as admin:
        client = admin.client("operator")
        for _ in range(3):
            assert ask(admin.gateway.url, admin.keys["inference"], "away").status_code == 502
        seen = replica(client, "away-0")
        assert (seen["state"], seen["ready"], seen["asked"]) == ("ejected", False, True)
        assert client.post("/v1/replicas/away-0/eject", json={"seconds": None}).json()["asked"] is False


def test_p25_what_an_ejection_does_not_take(admin: Administration) -> None:
    client = admin.client("operator")
    for seconds in (0, -1, "5", True, 1e11):
        enveloped(client.post("/v1/replicas/mock-0/eject", json={"seconds": seconds}), 400, "invalid_value", "seconds")
    enveloped(client.post("/v1/replicas/mock-0/eject", json={"for": 5}), 400, "invalid_value", "for")
    assert replica(client)["state"] == "closed"


def test_names_with_slashes_are_found(book: KeyBook) -> None:
    with administration(book, [{"name": "org/chat", "engine": "scripted", "version": "2/b"}]) as admin:
        client = admin.client("operator")
        for path in ("replicas/org%2Fchat@2%2Fb-0/drain", "replicas/org/chat@2/b-0/restore"):
            assert client.post(f"/v1/{path}").status_code == 200
        assert client.put("/v1/models/org%2Fchat/weights", json={"2/b": 5}).json()["data"][0]["weight"] == 5
        assert client.post("/v1/models/org/chat/versions/2/b/drain").json()["data"][0]["drained"] is True

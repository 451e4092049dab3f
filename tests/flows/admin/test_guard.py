"""Who asks the admin listener too often waits, guessing keys or not, whatever becomes of the store that counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtests.bench.processes import free_ports
from tests.flows.admin.conftest import Administration, administration
from tests.support import plain
from tests.support.databases import sqlite
from tests.support.envelopes import enveloped
from tests.support.gateway import metric
from tests.support.knocking import ask
from tests.support.stored import KeyBook
from tests.support.valkey import ValkeyServer, running_valkey

STORE = "RATE_STORE"
GUESS = {"authorization": "Bearer sk-snow-000000000000-" + "x" * 40}


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey("hunter2") as server:
        yield server


def shown(admin: Administration, name: str) -> float:
    return metric(plain.get(f"{admin.gateway.ops_url}/metrics").text, name)


def test_guesses_count_and_then_a_good_key_waits_as_well(book: KeyBook) -> None:
    with administration(book, rate=3) as admin:
        client = admin.client("viewer")
        for _ in range(3):
            enveloped(client.get("/v1/whoami", headers=GUESS), 401, "invalid_api_key")
        refused = client.get("/v1/whoami")
        enveloped(refused, 429, "rate_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert shown(admin, "snowshed_admin_limited_total") == 1
        assert ask(admin.gateway.url, admin.keys["inference"]).status_code == 200  # nothing of the public listener's


def test_behind_a_proxy_each_client_is_counted_and_written_down(book: KeyBook) -> None:
    with administration(book, rate=2, proxies=["127.0.0.0/8"]) as admin:
        client = admin.client()
        made = [
            client.post(
                "/v1/tenants", json={"name": f"t{n}"}, headers={"x-forwarded-for": f"192.0.2.66, 198.51.100.{n}"}
            )
            for n in range(4)
        ]
        assert [answer.status_code for answer in made] == [201] * 4
        entries = client.get("/v1/audit").json()["data"]
        assert [entry["address"] for entry in entries if entry["address"].startswith("198")] == [
            f"198.51.100.{n}" for n in range(4)
        ]


def test_without_a_named_proxy_nobody_is_believed(book: KeyBook) -> None:
    with administration(book, rate=2) as admin:
        client = admin.client()
        answers = [client.get("/v1/whoami", headers={"x-forwarded-for": f"198.51.100.{n}"}) for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_two_gateways_count_together(
    book: KeyBook, tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE, valkey.url)
    other_book = KeyBook(sqlite(tmp_path_factory.mktemp("other")))
    with (
        administration(book, rate=4, rate_store={"env": STORE}) as one,
        administration(other_book, rate=4, rate_store={"env": STORE}) as other,
    ):
        clients = one.client(), other.client()
        statuses = [client.get("/v1/whoami").status_code for _ in range(3) for client in clients]
        assert statuses == [200] * 4 + [429] * 2


@pytest.mark.parametrize("fault", ["refused", "frozen", "wrong password"])
def test_a_store_that_is_away_costs_nobody_an_answer(
    fault: str, book: KeyBook, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = valkey.url
    if fault == "refused":
        url = f"redis://127.0.0.1:{free_ports(1)[0]}"
    elif fault == "frozen":
        valkey.freeze()
    else:
        url = url.replace("hunter2", "hunter3")
    monkeypatch.setenv(STORE, url)
    with administration(book, rate=20, rate_store={"env": STORE}) as admin:
        client = admin.client()
        answers = [client.get("/v1/whoami") for _ in range(25)]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 5
        assert shown(admin, "snowshed_admin_rate_store_up") == 0
        assert "hunter" not in client.get("/v1/config").text

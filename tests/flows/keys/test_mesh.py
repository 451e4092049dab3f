"""Who a mesh vouches for is let in by its proxies' word, and by nobody else's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.flows.keys.conftest import MODELS, auth
from tests.support import plain
from tests.support.gateway import RunningGateway, configuration, metric, running_gateway
from tests.support.knocking import QUESTION, code
from tests.support.stored import KeyBook
from tests.support.waiting import PATIENCE

XFCC = "x-forwarded-client-cert"
ONE, TWO = ("spiffe://cluster.local/ns/ml/sa/batch", "spiffe://cluster.local/ns/web/sa/shop")
BATCH = {XFCC: f'By=spiffe://cluster.local/ns/x/sa/snowshed;Hash=ab;Subject="CN=a,OU=b";URI={ONE}'}


def mesh(**others: Any) -> dict[str, Any]:
    rules = [
        {"identity": "spiffe://cluster.local/ns/web/sa/*", "tenant": "shop", "models": ["other"]},
        {"identity": "spiffe://cluster.local/ns/{tenant}/sa/*"},
    ]
    return {"peers": ["127.0.0.1"], "identities": rules, **others}


def tree(**others: Any) -> dict[str, Any]:
    return configuration(models=MODELS, auth={"kind": "mesh", "mesh": mesh(**others)})


@pytest.fixture
def gateway() -> Iterator[RunningGateway]:
    with running_gateway(tree()) as gateway:
        yield gateway


def chat(gateway: RunningGateway, headers: Any, model: str = "mock") -> httpx2.Response:
    body = {**QUESTION, "model": model}
    return plain.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=PATIENCE)


def listed(gateway: RunningGateway, headers: Mapping[str, str]) -> httpx2.Response:
    return plain.get(f"{gateway.url}/v1/models", headers=headers, timeout=PATIENCE)


def ignored(gateway: RunningGateway) -> float:
    return metric(plain.get(f"{gateway.ops_url}/metrics").text, "snowshed_mesh_ignored_total")


def test_an_identity_opens_what_is_its_own(gateway: RunningGateway) -> None:
    assert code(chat(gateway, BATCH)) == (200, None)
    assert [model["id"] for model in listed(gateway, BATCH).json()["data"]] == ["mock", "other"]
    shop = {XFCC: f"URI={TWO}"}
    assert code(chat(gateway, shop)) == (404, "model_not_found")
    assert code(chat(gateway, shop, "other")) == (200, None)
    assert [model["id"] for model in listed(gateway, shop).json()["data"]] == ["other"]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="EMPTY", max_retries=0, default_headers=BATCH) as client:
        assert client.models.retrieve("mock").id == "mock"
    assert ignored(gateway) == 0


def test_from_others_it_does_not_count_and_is_counted() -> None:
    with running_gateway(tree(peers=["10.0.0.0/8", "127.0.0.2"])) as gateway:
        assert code(chat(gateway, BATCH)) == (401, "invalid_api_key")
        assert code(listed(gateway, BATCH)) == (401, "invalid_api_key")
        assert ignored(gateway) == 2
        with httpx2.Client(transport=httpx2.HTTPTransport(local_address="127.0.0.2"), trust_env=False) as proxy:
            assert proxy.get(f"{gateway.url}/v1/models", headers=BATCH).status_code == 200
        assert ignored(gateway) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {}, {XFCC: ""}, {XFCC: f"URI={ONE};URI={TWO}"}, {XFCC: "URI=spiffe://elsewhere/ns/ml/sa/batch"}, {XFCC: ONE},
        {"x-workload": f"URI={ONE}"}, {"vouched-identity": f"URI={ONE}"}, {"authorization": "Bearer EMPTY"},
    ],
    ids=str,
)  # fmt: skip
def test_without_a_good_one_nobody_is_let_in(gateway: RunningGateway, headers: dict[str, str]) -> None:
    assert code(chat(gateway, headers)) == (401, "invalid_api_key")
    answer = listed(gateway, headers)
    assert code(answer) == (401, "invalid_api_key")
    told = "The identity that the service mesh tells" if XFCC in headers else "A proxy of the service mesh has to say"
    assert answer.json()["error"]["message"].startswith(told)
    assert answer.headers["www-authenticate"] == 'Mesh realm="snowshed"'


def test_the_name_under_which_it_goes_on_can_not_be_sent(gateway: RunningGateway) -> None:
    for line in (
        b"vouched identity: URI=",
        b"vouched identity : URI=",
        b"vouched\tidentity: URI=",
        b" vouched identity: ",
    ):
        with gateway.connect() as connection:
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n" + line + ONE.encode() + b"\r\n\r\n")
            assert connection.recv(64).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))


def test_several_headers_are_one_list(gateway: RunningGateway) -> None:
    """What a caller had sent stands before what the proxy has added."""
    forged = [(XFCC, f"URI={ONE}"), (XFCC, f"URI={TWO}")]
    assert code(chat(gateway, forged)) == (404, "model_not_found"), "it is the shop, who may not"


def test_an_upgrade_that_is_declined_keeps_it(gateway: RunningGateway) -> None:
    with gateway.connect() as connection:
        connection.sendall(
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
            b"http2-settings: AAMAAABkAAQAAP__\r\n" + XFCC.encode() + b": URI=" + ONE.encode() + b"\r\n\r\n"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 200 ")


def test_requests_of_one_connection_are_each_their_own(gateway: RunningGateway) -> None:
    with gateway.client() as client:
        statuses = [client.get("/v1/models", headers=headers).status_code for headers in (BATCH, {}, BATCH, {})]
    assert statuses == [200, 401, 200, 401]


def test_a_header_of_ones_own(tmp_path: Path) -> None:
    log = tmp_path / "records.jsonl"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    try:
        with running_gateway(tree(header="x-workload"), log_fd=descriptor) as gateway:
            assert code(chat(gateway, {"x-workload": ONE})) == (200, None)
            assert code(chat(gateway, BATCH)) == (401, "invalid_api_key")
        records = [json.loads(line) for line in log.read_text().splitlines()]
    finally:
        os.close(descriptor)
    assert (records[0]["key"], records[0]["tenant"]) == (f"mesh:{ONE}", "ml")


def test_beside_keys(book: KeyBook) -> None:
    book.tenant()
    key, revoked = book.key(), book.key()
    book.revoke(revoked)
    with running_gateway(configuration(models=MODELS, auth=auth(book.url, mesh=mesh()))) as gateway:
        assert code(chat(gateway, {"authorization": f"Bearer {key.text}"})) == (200, None)
        assert code(chat(gateway, BATCH)) == (200, None)
        assert code(chat(gateway, {**BATCH, "authorization": "Bearer EMPTY"})) == (200, None)
        assert code(chat(gateway, {**BATCH, "authorization": f"Bearer {revoked.text}"})) == (401, "invalid_api_key")
        assert code(chat(gateway, {"authorization": "Bearer EMPTY"})) == (401, "invalid_api_key")


def test_another_server_knows_no_peers_and_so_believes_nobody() -> None:
    with running_gateway(tree(), "asgi") as gateway:
        assert code(chat(gateway, BATCH)) == (401, "invalid_api_key")
        assert code(listed(gateway, BATCH)) == (401, "invalid_api_key")


def test_nothing_behind_the_door_reads_the_header() -> None:
    """A rule for versions goes by what a caller sends, and this is not the caller's; by its id it may go."""
    rule = {"identity": "spiffe://cluster.local/ns/{tenant}/sa/*", "scopes": ["inference", "routing"]}
    versions = [{"name": "mock", "engine": "scripted", "version": version} for version in ("1", "2", "3")]
    rules = [
        {"version": "2", "header": {"name": "x-workload", "value": ONE}},
        {"version": "3", "keys": [f"mesh:{ONE}"]},
    ]
    whole = configuration(
        models=versions,
        routing=[{"model": "mock", "rules": rules}],
        auth={"kind": "mesh", "mesh": mesh(header="x-workload", identities=[rule])},
    )
    with running_gateway(whole) as gateway:
        assert chat(gateway, {"x-workload": ONE}).headers["x-model-version"] == "mock@3"

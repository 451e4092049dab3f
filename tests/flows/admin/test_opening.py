"""The admin listener is not there until somebody has a key for it, and then it is, without a restart."""

from __future__ import annotations

import socket

import pytest

from loadtests.bench.processes import free_ports
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.support import plain
from tests.support.admin import admin_port, visiting
from tests.support.gateway import configuration, metric, running_gateway
from tests.support.knocking import SOON, seconds_until
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until


def opened(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_it_says_who_asks(admin: Administration) -> None:
    answer = admin.client("operator").get("/v1/whoami")
    key_id = admin.keys["operator"].id
    assert answer.json() == {"key_id": key_id, "tenant": "acme", "role": "operator", "scopes": ["operator"]}
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize("scope", ["viewer", "operator", "admin"])
def test_it_opens_with_the_first_key_for_it_within_five_seconds(book: KeyBook, scope: str) -> None:
    (port,) = free_ports(1)
    book.tenant()
    book.key()
    book.revoke(book.key(scopes=["admin"]))
    with running_gateway(admin_tree(book.url, port=port)) as gateway:
        assert gateway.objects.admin is not None
        assert metric(plain.get(f"{gateway.ops_url}/metrics").text, "snowshed_admin_open") == 0
        assert not opened(port)
        key = book.key(scopes=["inference", scope])
        assert seconds_until(lambda: opened(port)) < SOON
        with visiting(port, key) as client:
            assert client.get("/v1/whoami").json()["role"] == scope
        assert metric(plain.get(f"{gateway.ops_url}/metrics").text, "snowshed_admin_open") == 1
    assert not opened(port)


def test_a_taken_port_is_tried_again_until_it_is_free(book: KeyBook) -> None:
    book.tenant()
    key = book.key(scopes=["viewer"])
    taken = socket.create_server(("127.0.0.1", 0))
    with running_gateway(admin_tree(book.url, port=taken.getsockname()[1])) as gateway:
        admin = gateway.objects.admin
        wait_until(lambda: "in use" in repr(admin))
        taken.close()
        with visiting(admin_port(gateway), key) as client:
            assert client.get("/v1/whoami").json()["role"] == "viewer"
        assert "in use" not in repr(admin)


def test_it_is_asked_by_the_address_that_it_was_given(book: KeyBook) -> None:
    with administration(book, host="127.0.0.2") as admin:
        address = f"127.0.0.2:{admin.port}"
        key = {"authorization": f"Bearer {admin.keys['viewer'].text}"}
        for host, status in ((address, 200), ("localhost", 200), ("evil.example", 421)):
            answer = plain.get(f"http://{address}/v1/whoami", headers={"host": host, **key})
            assert answer.status_code == status


def test_without_keys_there_is_none() -> None:
    with running_gateway(configuration()) as gateway:
        assert gateway.objects.admin is None
        assert "snowshed_admin" not in plain.get(f"{gateway.ops_url}/metrics").text

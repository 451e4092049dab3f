"""SIGTERM while somebody changes something: what was begun is finished and told, and the process ends as it should."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path

from loadtests.bench.processes import free_ports
from tests.flows.admin.conftest import admin_tree
from tests.support.gateway import spawned_gateway
from tests.support.raw import RawClient
from tests.support.stored import KeyBook
from tests.support.waiting import PATIENCE, wait_until


def test_a_change_under_way_is_finished(tmp_path: Path, book: KeyBook) -> None:
    """Its write waits for another one, the gateway is told to stop, and then the way is free."""
    book.tenant()
    key = book.key(scopes=["admin"])
    (port,) = free_ports(1)
    other = sqlite3.connect(book.url.removeprefix("sqlite:///"), isolation_level=None)
    with spawned_gateway(admin_tree(book.url, port=port), tmp_path) as gateway:
        wait_until(lambda: b"admin listener open" in gateway.errors.read_bytes())
        other.execute("BEGIN IMMEDIATE")
        with RawClient(f"http://127.0.0.1:{port}") as client:
            body = json.dumps({"name": "snow"}).encode()
            head = (
                "POST /v1/tenants HTTP/1.1", "host: localhost", f"authorization: Bearer {key.text}",
                "content-type: application/json", f"content-length: {len(body)}", "expect: 100-continue", "", "",
            )  # fmt: skip
            client.socket.sendall("\r\n".join(head).encode())
            client.until(b"100 Continue\r\n\r\n", 20)  # from here on it is under way
            client.socket.sendall(body)
            gateway.terminate()
            wait_until(lambda: not _open(port))
            other.execute("ROLLBACK")
            got, end = client.rest()
        assert (got.split(b"\r\n")[0], end) == (b"HTTP/1.1 201 Created", "eof")
        assert gateway.wait(PATIENCE) == 0
    other.close()
    assert book.do(lambda registry: registry.tenant("snow")).name == "snow"
    assert "exception" not in gateway.errors.read_text()


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True

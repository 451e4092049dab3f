"""The ops listener tells the truth in time, whatever the event loop, the client or the reader of its answers does."""

from __future__ import annotations

import json
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.heartbeat import Heartbeat
from gateway.metrics import Metrics
from gateway.one_shot import CONNECTIONS, Last, OneShotServer
from gateway.ops import OpsServer
from tests.support.waiting import PATIENCE

BURNER = """
import sys, time
from gateway.heartbeat import Heartbeat
from gateway.metrics import Metrics
from gateway.ops import OpsServer
heartbeat = Heartbeat()
server = OpsServer("127.0.0.1", 0, heartbeat, lambda: (), Metrics("1").render)
server.start()
print(server.port, flush=True)
end, number = time.monotonic() + 120, 0
while (now := time.monotonic()) < end:
    heartbeat.beat(now)
    for _ in range(100_000):
        number = (number * 31 + 7) % 1_000_003
"""


class Ops:
    """A running listener with its surroundings in the test's hands."""

    def __init__(self) -> None:
        self.now = 100.0
        self.reasons: list[str] = []
        self.page = b"snowshed_up 1\n"
        self.heartbeat = Heartbeat(lambda: self.now)
        self.server = OpsServer("127.0.0.1", 0, self.heartbeat, lambda: self.reasons, lambda: self.page)

    def get(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[HTTPResponse, bytes]:
        with closing(HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response, response.read()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE)

    def exchange(self, request: bytes) -> bytes:
        with self.connect() as connection:
            connection.sendall(request)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def ops() -> Iterator[Ops]:
    made = Ops()
    made.server.start()
    with closing(made.server):
        yield made


def test_all_is_well(ops: Ops) -> None:
    for path, expected in (
        ("/livez", {"live": True, "heartbeat_age_s": 0.0}),
        ("/readyz?v", {"ready": True, "reasons": [], "warnings": []}),
    ):
        response, body = ops.get(path)
        assert response.status == 200
        assert response.getheader("content-type") == "application/json"
        assert response.getheader("server") is None
        assert json.loads(body) == expected


def test_p13_live_while_the_loop_beats_and_not_when_it_is_stuck(ops: Ops) -> None:
    """P13: ten seconds without a beat is a dead gateway, whether or not its threads answer."""
    ops.reasons.append("Everything else is down.")
    ops.now += 9.9
    assert ops.get("/livez")[0].status == 200
    ops.now += 0.1
    response, body = ops.get("/livez")
    assert response.status == 503
    assert json.loads(body)["heartbeat_age_s"] == 10.0
    assert "10.0 s" in json.loads(body)["error"]["message"]
    ops.heartbeat.beat(ops.now)
    assert ops.get("/livez")[0].status == 200


def test_readiness_comes_with_reasons(ops: Ops) -> None:
    ops.reasons.append("Draining.")
    ops.now += 12
    response, body = ops.get("/readyz")
    assert response.status == 503
    answer = json.loads(body)
    assert answer["reasons"] == ["Draining.", "The event loop has not come round for 12.0 s."]
    assert (answer["ready"], answer["error"]["code"]) == (False, "not_ready")


def test_metrics_are_served_as_prometheus_expects_them(ops: Ops) -> None:
    ops.page = Metrics("1").render()
    response, body = ops.get("/metrics")
    assert response.getheader("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert "snowshed_in_flight" in {family.name for family in text_string_to_metric_families(body.decode())}
    head, nothing = ops.get("/metrics", "HEAD")
    assert (head.status, nothing) == (200, b"")
    assert head.getheader("content-length") == str(len(body))


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"),
        (b"GET /metrics/../livez HTTP/1.1\r\n\r\n", 404, "not_found"),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000, 405, "method_not_allowed"),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 500_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET /" + b"x" * 9000, 431, "headers_too_large"),
        (b"GET /livez HTTP/2.0\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "bad_request"),
        (b"\r\n\r\n", 400, "bad_request"),
    ],
    ids=["path", "dots", "method", "header", "target", "version", "tls", "empty"],
)
def test_p25_whatever_else_is_asked_gets_openai_s_envelope(ops: Ops, request_: bytes, status: int, code: str) -> None:
    """P25: also for those who send more than is read: the answer still reaches them."""
    head, _, body = ops.exchange(request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    error = json.loads(body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == code


def test_a_failing_callback_is_an_error_and_no_end(ops: Ops) -> None:
    ops.reasons = None  # type: ignore[assignment]
    response, body = ops.get("/readyz")
    assert response.status == 500
    assert json.loads(body)["error"]["code"] == "internal_error"
    assert ops.get("/livez")[0].status == 200


def test_p13_live_within_100_ms_while_the_main_thread_burns_all_of_a_core() -> None:
    """P13: the p99 bar is 100 ms on an idle machine; here ten times that, for neighbours."""
    with subprocess.Popen([sys.executable, "-c", BURNER], stdout=subprocess.PIPE, text=True) as burner:
        try:
            assert burner.stdout
            port = int(burner.stdout.readline())
            took = [timed_get(port, "/livez") for _ in range(100)]
            scrapes = [timed_get(port, "/metrics") for _ in range(10)]
        finally:
            burner.send_signal(signal.SIGKILL)
    p99 = statistics.quantiles(took, n=100)[-1]
    p50, slowest = statistics.median(took), max(scrapes)
    print(f"/livez p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms; /metrics at most {slowest * 1e3:.1f} ms")
    assert p99 < 1.0
    assert slowest < 5.0


def timed_get(port: int, path: str) -> float:
    start = time.monotonic()
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        response.read()
    return time.monotonic() - start


def test_clients_that_never_finish_asking_keep_nobody_out(ops: Ops) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(ops.connect()) for _ in range(3 * CONNECTIONS)]
        for connection in slow:
            connection.sendall(b"GET /livez HT")
        assert ops.get("/livez")[0].status == 200
        waiting = re.search(r"(\d+) connections waiting", repr(ops.server))
        assert waiting
        assert CONNECTIONS - 1 <= int(waiting[1]) <= CONNECTIONS
        assert [closed_by_server(each) for each in slow[:CONNECTIONS]] == [True] * CONNECTIONS, "the oldest made room"
        slow[-1].sendall(b"TP/1.1\r\n\r\n")
        assert read_all(slow[-1]).startswith(b"HTTP/1.1 200 ")


def closed_by_server(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_connection_ends_when_its_time_is_up() -> None:
    server = OneShotServer("127.0.0.1", 0, lambda _: None, patience=0.2)
    server.start()
    with closing(server), socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        start = time.monotonic()
        try:
            while time.monotonic() - start < 10:  # trickling buys no time
                connection.sendall(b"x")
                connection.settimeout(0.02)
                try:
                    if not connection.recv(1):
                        break
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
        assert time.monotonic() - start < 5


def test_a_slow_reader_gets_everything_and_delays_nobody(ops: Ops) -> None:
    ops.page = b"x" * 20_000_000
    with ops.connect() as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
        assert ops.get("/livez")[0].status == 200
        assert read_all(slow).endswith(ops.page)


def test_closing_frees_the_port_and_ends_what_waits(ops: Ops) -> None:
    with ops.connect() as waiting:
        waiting.sendall(b"GET")
        assert ops.get("/livez")[0].status == 200
        ops.server.close()
        assert closed_by_server(waiting)
        with pytest.raises(ConnectionRefusedError):
            ops.connect()
    ops.server.close()  # twice is fine


def test_an_address_in_use_is_told_to_whoever_starts(ops: Ops) -> None:
    other: Any = OpsServer("127.0.0.1", ops.server.port, ops.heartbeat, tuple, bytes)
    with pytest.raises(OSError, match="in use"):
        other.start()
    other.close()


def test_an_answer_that_can_not_be_made_costs_one_connection() -> None:
    def respond(received: bytes) -> Last | None:
        if b"bad" in received:
            raise ValueError
        return Last(b"fine")

    server = OneShotServer("127.0.0.1", 0, respond)
    server.start()
    with closing(server):
        for request, expected in ((b"bad", b""), (b"good", b"fine")):
            with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
                connection.sendall(request)
                assert read_all(connection) == expected

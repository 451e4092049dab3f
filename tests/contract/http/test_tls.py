"""The same promises behind TLS: the protocol class runs over uvloop's encrypted transports, too."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import Adapter, RunningGateway, configuration, running_gateway
from tests.support.promises import Promises
from tests.support.talk import Talk, chat, chunked_head, request
from tests.support.waiting import PATIENCE

KEY_AND_CERTIFICATE = Path(__file__).parents[2] / "support" / "localhost.pem"
GOOD = request(chat())


@pytest.fixture(scope="module")
def running_tls(adapter: Adapter, upstream: SpawnedReplica) -> Iterator[RunningGateway]:
    """With patience for clients on a busy machine."""
    with running_gateway(configuration([upstream.url]), adapter, tls=KEY_AND_CERTIFICATE) as gateway:
        yield gateway


@pytest.fixture
def tls(running_tls: RunningGateway, upstream: SpawnedReplica) -> Iterator[RunningGateway]:
    upstream.reset()
    yield running_tls
    running_tls.wait_idle()


@pytest.fixture
def hasty_tls(adapter: Adapter, upstream: SpawnedReplica) -> Iterator[RunningGateway]:
    """With half a second for a body, and two before or after a request."""
    tree = configuration([upstream.url], timeouts={"body": 0.5, "idle": 2.0})
    with running_gateway(tree, adapter, tls=KEY_AND_CERTIFICATE) as gateway:
        yield gateway
        gateway.wait_idle()


def connect(gateway: RunningGateway) -> Talk:
    context = ssl.create_default_context(cafile=str(KEY_AND_CERTIFICATE))
    sock = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
    return Talk(gateway.url, context.wrap_socket(sock, server_hostname="localhost"))


def test_documents_streams_and_cold_answers(tls: RunningGateway) -> None:
    with connect(tls) as talk:
        talk.send(GOOD, request(None, method=b"GET", target=b"/v1/models"), request(chat(stream=True)))
        assert [talk.answer().status for _ in range(3)] == [200] * 3
        assert talk.ask(request(chat("x" * 1_000_000))).status == 200


def test_closing_and_refusing(tls: RunningGateway, promises: Promises) -> None:
    with connect(tls) as talk:
        (answer,), end = talk.send(request(chat(), b"Connection: close")).ending()
        assert (answer.status, answer.closes, end) == (200, True, "eof")
    with connect(tls) as talk:
        (answer,), end = talk.send(b"NONSENSE\r\n\r\n").ending()
        assert (answer.status, answer.closes, end) == (400, True, "eof")
        if promises.refusals_have_envelopes:
            assert answer.error["code"] == "malformed_request"


def test_a_refusal_is_read_though_much_follows(tls: RunningGateway, promises: Promises) -> None:
    if not promises.refusals_are_readable:
        return
    with connect(tls) as talk:
        (answer,), _ = talk.send(chunked_head(), b"989680\r\n", b"x" * 10_000_000).ending()
        assert (answer.status, answer.closes) == (413, True)


def test_slow_bodies_and_idle_connections(hasty_tls: RunningGateway, promises: Promises) -> None:
    with connect(hasty_tls) as talk:
        assert talk.send(GOOD[:-5]).answer().status == 408
    if promises.heads_are_timed:
        with connect(hasty_tls) as talk:
            assert talk.ask(GOOD).status == 200
            assert talk.ending() == ([], "eof")


@pytest.mark.parametrize("begin", [b"", GOOD[:50], GOOD[:-5]])
def test_leaving_while_sending(tls: RunningGateway, begin: bytes) -> None:
    with connect(tls) as talk:
        talk.send(begin)
    tls.wait_until(lambda: not tls.server.server_state.connections)


def test_p01_leaving_in_the_middle_of_a_stream(tls: RunningGateway, upstream: SpawnedReplica) -> None:
    with connect(tls) as talk:
        talk.send(request(chat("@@tokens=1000,delay_ms=20@@", stream=True))).until(b"data: ")
    tls.wait_idle()
    upstream.wait_for(lambda log: [call.outcome for call in log] == ["cancelled"])

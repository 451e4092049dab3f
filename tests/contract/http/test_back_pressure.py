"""A client that does not read holds up its own upstream and is cut; a slow one gets every byte."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from engines.connection import Connection
from tests.support.fleet import SpawnedReplica
from tests.support.gateway import RunningGateway
from tests.support.promises import Promises
from tests.support.talk import Talk, chat, request
from tests.support.waiting import PATIENCE, unmoved, wait_until

FLOOD = request(chat("@@tokens=200000,chunking=coalesce@@", stream=True, max_tokens=200_000))
BOUND = 256 * 1024


def narrow(gateway: RunningGateway) -> Talk:
    """A connection with a small window, so that what is not read piles up in the gateway and not in the kernel."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(PATIENCE)
    sock.connect(("127.0.0.1", gateway.port))
    return Talk(gateway.url, sock)


def held(gateway: RunningGateway) -> int:
    """Bytes of answers that the gateway holds, over all its streams."""

    def count() -> int:
        towards_clients: list[Any] = list(gateway.server.server_state.connections)
        replicas = [replica for model in gateway.objects.catalog for replica in model.replicas]
        upstream: list[Connection] = [one for replica in replicas for one in replica.engine._pool._open]  # type: ignore[attr-defined]
        written: int = sum(one.transport.get_write_buffer_size() for one in towards_clients)
        return written + sum(one._buffered for one in upstream)

    return int(gateway.run(count))


def settled(upstream: SpawnedReplica) -> int:
    """Tokens that have been produced once no more are, because every buffer on their way is full."""
    return wait_until(lambda: sum(call.tokens for call in upstream.calls()), unmoved())


def wait_stalled(gateway: RunningGateway, streams: int = 1) -> None:
    def stalled() -> bool:
        live = str(gateway.run(lambda: repr(gateway.objects.edge.traffic.live)))
        return live.count("stalled") == streams

    gateway.wait_until(stalled)


def test_a_client_that_does_not_read_holds_up_its_upstream_only(
    gateway: RunningGateway, upstream: SpawnedReplica
) -> None:
    with narrow(gateway) as first, narrow(gateway) as second, Talk(gateway.url) as other:
        for talk in (first, second):
            talk.send(FLOOD)
        tokens = settled(upstream)
        most = 0
        for _ in range(20):
            most = max(most, held(gateway))
            assert other.ask(request(chat("@@tokens=3@@", stream=True))).body.endswith(b"data: [DONE]\n\n")
        assert most <= 2 * BOUND
        assert sum(call.tokens for call in upstream.calls()[:2]) == tokens < 400_000, "the upstream is made to wait"


def test_a_client_that_does_not_read_is_cut(
    hasty: RunningGateway, upstream: SpawnedReplica, promises: Promises
) -> None:
    with narrow(hasty) as talk:
        talk.send(FLOOD)
        upstream.wait_for(lambda log: any(call.outcome == "cancelled" for call in log))
        hasty.wait_idle()
        if promises.stalled_are_cut:
            hasty.wait_until(lambda: not hasty.server.server_state.connections)
            (answer,), end = talk.ending()
            assert not answer.whole
            assert end != "open"


def test_a_slow_client_gets_every_byte_of_a_stream(hasty: RunningGateway, promises: Promises) -> None:
    """It reads for several times the stall limit without catching up."""
    if not promises.slow_are_known:
        return
    with narrow(hasty) as talk:
        talk.send(request(chat("@@tokens=20000,chunking=coalesce@@", stream=True, max_tokens=20_000)))
        wait_stalled(hasty)
        read_slowly(talk, 2.0)
        answer = talk.answer()
        assert answer.body.count(b"data: ") >= 20_000
        assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("fields", [(), (b"Connection: close",)])
def test_a_slow_client_gets_every_byte_of_a_document(
    hasty: RunningGateway, promises: Promises, fields: tuple[bytes, ...]
) -> None:
    """The request is long done when the last byte is read: closing must wait for that, however long it takes."""
    if not promises.slow_are_known:
        return
    with narrow(hasty) as talk:
        talk.send(large(*fields))
        read_slowly(talk, 2.0)
        answer = talk.answer()
        assert (answer.status, len(answer.body)) == (200, int(answer.headers["content-length"]))


def test_a_document_that_is_not_read_is_dropped(hasty: RunningGateway, promises: Promises) -> None:
    if not promises.stalled_are_cut:
        return
    with narrow(hasty) as talk:
        talk.send(large())
        hasty.wait_until(lambda: held(hasty) > BOUND)
        hasty.wait_until(lambda: not hasty.server.server_state.connections)
        (answer,), _ = talk.ending()
        assert not answer.whole


def test_requests_whose_answers_nobody_reads_are_not_served_on(
    hasty: RunningGateway, upstream: SpawnedReplica, promises: Promises
) -> None:
    if not promises.pipelines_are_bounded:
        return
    refused = request(chat(model="absent"))
    with narrow(hasty) as talk:
        talk.socket.setblocking(False)
        end = time.monotonic() + 20
        while hasty.server.server_state.connections:
            try:
                talk.socket.send(refused * 4)
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                break
            assert held(hasty) <= BOUND
            assert time.monotonic() < end
    hasty.wait_idle()


def large(*fields: bytes) -> bytes:
    """A request whose answer has some megabytes."""
    body = b'{"model": "mock", "input": [%b], "dimensions": 4096}' % b", ".join([b'"x"'] * 100)
    return request(body, *fields, target=b"/v1/embeddings")


def read_slowly(talk: Talk, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        talk._reader.feed(talk.socket.recv(2048))
        time.sleep(0.02)  # the slowness itself, nothing is awaited

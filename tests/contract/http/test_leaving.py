"""P01, P18: whenever the client leaves, with the application's middleware on, nothing of its request is left."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gateway.app import create_app
from tests.support.fleet import SpawnedReplica
from tests.support.gateway import RunningGateway
from tests.support.promises import Promises
from tests.support.talk import Talk, chat, chunked_head, request

Leave = Callable[[Talk], None]


def close(talk: Talk) -> None:
    talk.socket.close()


def reset(talk: Talk) -> None:
    talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.socket.close()


def half_close(talk: Talk) -> None:
    """Says that nothing more comes; many clients close this way, so it counts as leaving."""
    talk.socket.shutdown(socket.SHUT_WR)


LEAVE = pytest.mark.parametrize("leave", [close, reset, half_close])
SILENT = "@@fault=accept_silent@@"
ENDLESS = "@@tokens=1000,delay_ms=20@@"


def idle(gateway: RunningGateway) -> None:
    """Nothing live, and no connection but those of other tests' pools: the server has none open."""
    gateway.wait_idle()
    gateway.wait_until(lambda: not gateway.server.server_state.connections)


def all_cancelled(upstream: SpawnedReplica, calls: int = 1) -> None:
    upstream.wait_for(lambda log: len(log) == calls and all(call.outcome == "cancelled" for call in log))


@LEAVE
@pytest.mark.parametrize(
    "begin",
    [b"", b"POST /v1", request(chat())[:60], request(chat())[:-20], chunked_head(), chunked_head() + b"5\r\nhel"],
    ids=["nothing", "line", "headers", "body", "chunks", "chunk"],
)
def test_leaving_while_sending(gateway: RunningGateway, upstream: SpawnedReplica, leave: Leave, begin: bytes) -> None:
    with Talk(gateway.url) as talk:
        talk.send(begin)
        leave(talk)
        idle(gateway)
    assert upstream.calls() == []


@LEAVE
@pytest.mark.parametrize("stream", [False, True])
def test_leaving_at_once(gateway: RunningGateway, upstream: SpawnedReplica, leave: Leave, stream: bool) -> None:
    """The request may have got as far as the upstream or not: where it has, it is cancelled."""
    for _ in range(20):
        with Talk(gateway.url) as talk:
            talk.send(request(chat(SILENT, stream=stream)))
            leave(talk)
            idle(gateway)
    upstream.wait_for(lambda log: all(call.outcome == "cancelled" for call in log))


@LEAVE
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["accept_silent", "headers_silent", "stall,after=0"])
def test_p01_leaving_before_the_first_token(
    gateway: RunningGateway, upstream: SpawnedReplica, leave: Leave, stream: bool, fault: str
) -> None:
    with Talk(gateway.url) as talk:
        talk.send(request(chat(f"@@fault={fault}@@", stream=stream)))
        upstream.wait_for(lambda log: len(log) == 1)
        leave(talk)
        idle(gateway)
    all_cancelled(upstream)


@LEAVE
def test_p01_leaving_in_the_middle_of_a_stream(gateway: RunningGateway, upstream: SpawnedReplica, leave: Leave) -> None:
    with Talk(gateway.url) as talk:
        talk.send(request(chat(ENDLESS, stream=True))).until(b"data: ")
        leave(talk)
        idle(gateway)
    all_cancelled(upstream)
    assert upstream.calls()[0].tokens < 1000


@LEAVE
def test_leaving_while_others_wait_behind(gateway: RunningGateway, upstream: SpawnedReplica, leave: Leave) -> None:
    """None of the waiting ones is begun, and each leaves its one record."""
    cold = request(None, method=b"GET", target=b"/v1/models")
    with Talk(gateway.url) as talk:
        talk.send(request(chat(ENDLESS, stream=True)), request(chat("waits")), cold, request(chat("waits"))[:-5])
        talk.until(b"data: ")
        leave(talk)
        idle(gateway)
    all_cancelled(upstream)


@LEAVE
def test_a_cold_request_is_told_though_others_wait_behind(
    gateway: RunningGateway, promises: Promises, leave: Leave
) -> None:
    if not promises.pipelines_are_bounded:
        return
    path, heard = f"/waits/{leave.__name__}", list[str]()

    async def waits(wanted: Request) -> Response:
        heard.append("begins")
        while (message := await wanted.receive())["type"] != "http.disconnect":
            pass
        heard.append(message["type"])
        return Response()

    app = gateway.server.config.app
    assert isinstance(app, FastAPI)
    gateway.run(lambda: app.add_route(path, waits))
    with Talk(gateway.url) as talk:
        talk.send(request(None, method=b"GET", target=path.encode()) * 2)
        gateway.wait_until(lambda: heard == ["begins"])
        leave(talk)
        gateway.wait_until(lambda: heard == ["begins", "http.disconnect"])


@pytest.mark.parametrize("leave", [close, reset])
def test_leaving_while_not_reading(gateway: RunningGateway, upstream: SpawnedReplica, leave: Leave) -> None:
    with Talk(gateway.url) as talk:
        talk.send(request(chat("@@tokens=1000000,chunking=coalesce@@", stream=True, max_tokens=1_000_000)))
        talk.until(b"data: ")
        gateway.wait_until(lambda: "stalled" in repr(gateway.objects.edge.traffic.live))
        leave(talk)
        idle(gateway)
    all_cancelled(upstream)


def test_p18_the_application_ran_with_its_middleware(running: RunningGateway) -> None:
    """The tests above saw each disconnect through all of it; `tests/architecture` forbids the kind that hides one."""
    assert create_app(running.objects).user_middleware

"""What leaves in one packet: a head with its body, and the beginning of a stream with all that follows at once."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvloop

from gateway.http_wire import TOGETHER, HttpWire


class Transport:
    """Takes everything at once, and keeps it."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        assert not self.aborted
        self.packets.append(data)

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


class Flow:
    write_paused = False


class Line:
    """A connection that stays."""

    def __init__(self) -> None:
        self.transport: Any = Transport()
        self.flow: Any = Flow()
        self.kept: list[bool] = []

    def date(self) -> bytes:
        return b"date: today\r\n"

    def stays(self) -> bool:
        return True

    def answered(self, keep: bool) -> None:
        self.kept.append(keep)


@pytest.fixture
def line() -> Line:
    return Line()


async def turn() -> None:
    await asyncio.sleep(0)  # what was to be called soon, is


def stream(line: Line) -> HttpWire:
    wire = HttpWire(line, keep=True, http10=False)
    wire.open(200, b"", None)
    return wire


async def test_a_document_leaves_with_its_head_and_at_once(line: Line) -> None:
    wire = HttpWire(line, keep=True, http10=False)
    wire.open(200, b"", 2)
    assert line.transport.packets == []
    wire.write(b"{}")
    (packet,) = line.transport.packets
    assert packet.startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\n")
    assert packet.endswith(b"\r\n\r\n{}")
    wire.end()
    assert (len(line.transport.packets), line.kept) == (1, [True])


async def test_a_stream_that_ends_within_a_turn_is_one_packet(line: Line) -> None:
    wire = stream(line)
    wire.write(b"a")
    wire.write(b"bc")
    wire.end()
    await turn()
    (packet,) = line.transport.packets
    assert packet.endswith(b"\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")


async def test_a_streams_beginning_leaves_at_the_end_of_the_turn_and_the_rest_as_it_comes(line: Line) -> None:
    wire = stream(line)
    wire.write(b"a")
    assert line.transport.packets == []
    await turn()
    wire.write(b"b")
    wire.write(b"c")
    wire.end()
    assert line.transport.packets[0].endswith(b"\r\n\r\n1\r\na\r\n")
    assert line.transport.packets[1:] == [b"1\r\nb\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"]


async def test_a_big_beginning_does_not_wait(line: Line) -> None:
    wire = stream(line)
    wire.write(bytes(TOGETHER))
    assert len(line.transport.packets) == 1
    await turn()
    assert len(line.transport.packets) == 1


async def test_what_is_cut_says_nothing_more(line: Line) -> None:
    wire = stream(line)
    wire.write(b"a")
    wire.abort()
    await turn()
    assert line.transport.packets == []


def test_what_was_held_for_a_client_that_has_left_is_forgotten() -> None:
    """Of loops that would have an error of it: it came in the same turn as the news that the client has left."""
    troubles: list[dict[str, Any]] = []

    async def leave() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, trouble: troubles.append(trouble))
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            line = Line()
            line.transport = transport
            wire = stream(line)
            transport.abort()
            wire.write(b"data: 1\n\n")
            await turn()
            await turn()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(leave())
    assert troubles == []

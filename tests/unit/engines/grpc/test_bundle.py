"""What is written within one turn of the loop leaves as one piece, unless it is much."""

from __future__ import annotations

import asyncio

from engines.grpc.http2.bundle import ENOUGH, Bundle


async def test_one_turn_is_one_write() -> None:
    written: list[bytes] = []
    bundle = Bundle(asyncio.get_running_loop(), written.append)
    bundle.add(b"a")
    bundle.add(b"b")
    assert not written
    await asyncio.sleep(0)
    assert written == [b"ab"]
    bundle.add(b"c")
    await asyncio.sleep(0)
    assert written == [b"ab", b"c"]


async def test_much_does_not_wait() -> None:
    written: list[bytes] = []
    bundle = Bundle(asyncio.get_running_loop(), written.append)
    bundle.add(b"a")
    bundle.add(bytes(ENOUGH))
    assert written == [b"a" + bytes(ENOUGH)]
    await asyncio.sleep(0)
    assert len(written) == 1


async def test_it_can_be_sent_early() -> None:
    written: list[bytes] = []
    bundle = Bundle(asyncio.get_running_loop(), written.append)
    bundle.add(b"a")
    bundle.send()
    bundle.send()
    assert written == [b"a"]

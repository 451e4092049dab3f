"""A call that outlives its reader, over our own transport: what comes at once is all there."""

from __future__ import annotations

import asyncio

from engines.generating.detached import MAX_HELD, Detached
from tests.support.raw_grpc import begin, end, say
from tests.unit.engines.grpc.conftest import Line


async def test_more_messages_in_one_go_than_are_held_are_all_read(line: Line) -> None:
    rpc, peer, s = await line.call()
    detached = Detached(rpc)
    pump = asyncio.ensure_future(detached.pump())
    peer.send(begin(s))
    await peer.settled()
    wanted = [b"%d" % at for at in range(5 * MAX_HELD)]
    reading = asyncio.ensure_future(detached.read())
    await asyncio.sleep(0)
    peer.send(*[say(s, message) for message in wanted], end(s))
    got = [await reading]
    while (message := await detached.read()) is not None:
        got.append(message)
    assert got == wanted
    await pump

"""Hand the answer to the client as it comes: per chunk one write, one clock read, nothing else."""

from __future__ import annotations

from collections.abc import Callable

from engines.api import Reply
from gateway.accounts import Record
from gateway.exchange import Exchange


async def relay(reply: Reply, exchange: Exchange, clock: Callable[[], float]) -> None:
    """Returns when the last byte is written. Raises Interrupted; waits for a client that reads slowly."""
    wire, record = exchange.wire, exchange.record
    if not exchange.stream:
        await _document(reply, exchange)
        return
    exchange.start(reply)
    chunks = sent = 0
    try:
        async for data in reply:
            wire.write(data)
            chunks += 1
            sent += len(data)
            now = clock()
            gap = now - record.last_at
            if gap > record.gap_max:
                record.gap_max = gap
            record.last_at = now
            if wire.paused:
                await exchange.drain()
    finally:
        record.chunks += chunks
        record.sent_bytes += sent
        _account(reply, record)
    exchange.finish()


async def _document(reply: Reply, exchange: Exchange) -> None:
    async for document in reply:
        exchange.start(reply, len(document))
        exchange.wire.write(document)
        exchange.record.sent_bytes = len(document)
    _account(reply, exchange.record)
    exchange.finish()


def _account(reply: Reply, record: Record) -> None:
    usage = reply.usage
    if usage is not None:
        record.prompt_tokens = usage.prompt
        record.completion_tokens = usage.completion
        record.usage_exact = usage.exact

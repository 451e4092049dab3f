"""Hand the answer to the client as it comes, and note what it cost."""

from __future__ import annotations

from engines.api import Reply, pass_on
from gateway.cutting import pass_on_up_to
from gateway.exchange import Exchange


async def relay(reply: Reply, exchange: Exchange) -> None:
    """Returns when the last byte is written. Raises Interrupted; waits for a client that reads slowly."""
    try:
        if not exchange.stream:
            # Nearly all replies hold the document, which costs less to take than to iterate over.
            document: bytes = getattr(reply, "document", b"") or await anext(aiter(reply))
            exchange.start(reply, len(document))
            exchange.wire.write(document)
            exchange.record.sent_bytes = len(document)
        elif exchange.most is not None:
            exchange.start(reply)
            await pass_on_up_to(exchange.most, reply, exchange)
        else:
            exchange.start(reply)
            await pass_on(reply, exchange)
    finally:
        if (usage := reply.usage) is not None:
            exchange.record.use(usage.prompt, usage.completion, exact=usage.exact)
    exchange.finish()

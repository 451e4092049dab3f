"""The requests in flight, and whether new ones are still welcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import DRAINING

if TYPE_CHECKING:
    from gateway.exchange import Exchange


class Traffic:
    """Knows every live exchange. `draining`: answers close their connections; `closed`: new requests are refused."""

    def __init__(self) -> None:
        self.live: set[Exchange] = set()
        self.draining = False
        self.closed = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else "draining" if self.draining else "open"
        return f"<Traffic {state}, {len(self.live)} live>"

    def cut(self) -> None:
        """End what is still going on: each client is told, each hold released."""
        for exchange in tuple(self.live):
            exchange.give_up(DRAINING)

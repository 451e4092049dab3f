"""The requests in flight, and whether new ones are still welcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import DRAINING, Refusal

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

    def admit(self) -> None:
        """Raises Refusal once the listener is only there to say no."""
        if self.closed:
            raise Refusal(DRAINING)

    def cut(self) -> None:
        """End what is still going on: each client is told, each hold released."""
        for exchange in tuple(self.live):
            exchange.give_up(DRAINING)


class BodyMemory:
    """Bytes of request bodies held at one time, over all requests; bounded."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self.held = 0

    def __repr__(self) -> str:
        return f"<BodyMemory {self.held} of {self._bound} B>"

    def take(self, size: int) -> bool:
        """Whether there was room; if so it is taken until `give`."""
        if self.held + size > self._bound:
            return False
        self.held += size
        return True

    def give(self, size: int) -> None:
        self.held -= size

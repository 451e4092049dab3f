"""What waits in a queue, and how it is served out."""

from __future__ import annotations

from dataclasses import dataclass

from router.fair_queue import FairQueue


@dataclass(slots=True, eq=False)
class Ticket:
    tenant: str = "a"
    weight: int = 1
    rank: int = 1
    due: float = 1000.0
    charge: float = 100.0
    work: float = 1.0
    size: int = 10


def serve(queue: FairQueue[Ticket]) -> Ticket:
    """The one whose turn it is."""
    ticket = next(queue.heads())
    queue.take(ticket)
    return ticket


def filled(queue: FairQueue[Ticket], *tickets: Ticket) -> FairQueue[Ticket]:
    for ticket in tickets:
        queue.add(ticket)
    return queue

"""What the admin listener says of queues, and of how much there is of what there may be."""

from __future__ import annotations

import msgspec

from router.api import Reason


class Used(msgspec.Struct):
    """How much of something there is, and how much there may be at a time."""

    used: int
    limit: int


class SeenClass(msgspec.Struct):
    """Requests of one class that wait for a version, or were refused since the start, by the reason.

    `tokens`: of their prompts, and twice those of the answers expected. `backlog_s`: seconds that the replicas need for
    them at their present pace; null: not known.
    """

    waiting: int
    tokens: int
    backlog_s: float | None
    shed: dict[Reason, int]


class SeenShare(msgspec.Struct):
    """What one tenant has waiting in a class. `ahead`: tokens per weight that it has had more than the one who is next.

    They compare within a class, and count as long as somebody waits in it.
    """

    tenant: str
    of_class: str = msgspec.field(name="class")
    waiting: int
    ahead: float


class SeenCosts(msgspec.Struct):
    """What a token takes of a replica, in microseconds, as learned from requests that have ended there."""

    prompt_us: float
    answer_us: float


class SeenQueue(msgspec.Struct):
    """In front of one version. `tenants`: of those with most waiting, a hundred at most.

    `costs`: by replica, of those on which something has ended lately.
    """

    version: str
    models: list[str]
    requests: Used
    bytes: Used
    classes: dict[str, SeenClass]
    tenants: list[SeenShare]
    costs: dict[str, SeenCosts]


class QueueList(msgspec.Struct):
    """In the order of the configuration."""

    data: list[SeenQueue]

"""How full queues and replicas are, and who was turned away for it, as series: read on a scrape, for no request to pay.

Tenants have no series: there may be any number of them. The admin listener's `/v1/queues` has their shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, get_args

from gateway.exposition import family, labels
from router.admission import Admission
from router.api import Rank, Reason, Replica
from router.catalog import Catalog
from router.fair_queue import RANKS

Limit = Literal["requests", "prompt_tokens", "kv_tokens"]

RANKED: Final[tuple[tuple[Rank, str], ...]] = ((0, RANKS[0]), (1, RANKS[1]), (2, RANKS[2]))
"""Every class with its name, the most urgent first."""
_REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


def uses(replica: Replica) -> Iterator[tuple[Limit, float, float]]:
    """Each of its limits: how much it has under way, and how much it may have now."""
    room = replica.room[0]
    yield "requests", replica.in_flight, room.requests
    yield "prompt_tokens", replica.prompts, room.prompt_tokens
    yield "kv_tokens", replica.tokens + replica.others, room.kv_tokens


def backlog(admission: Admission, rank: Rank) -> float | None:
    """Seconds that the replicas need for what waits in this class; None until a request has ended."""
    waiting = admission.queue.work(rank)
    return admission.seconds(waiting) if waiting else 0.0


def homes(catalog: Catalog) -> dict[Admission, list[str]]:
    """Each version's, and the models that it is for: adapters come after the one whose replicas they share."""
    found: dict[Admission, list[str]] = {}
    for model in catalog:
        for version in model.versions.values():
            found.setdefault(version.admission, []).append(model.name)
    return found


_QUEUES: Final[tuple[tuple[str, str, Callable[[Admission, Rank], float | None]], ...]] = (
    ("depth", "Requests that wait for a place on a replica.", lambda admission, rank: admission.queue.depth(rank)),
    ("tokens", "Tokens of their prompts, and twice those of the answers expected: what their tenants are charged.",
     lambda admission, rank: admission.queue.charge(rank)),
    ("backlog_seconds", "What they keep the replicas busy for, at their present pace.",
     backlog),
)  # fmt: skip
"""Of each version and class: one series. None is not known yet, and has no sample."""


class AdmissionMetrics:
    """Versions, replicas, classes and reasons are few, so series are too. All are there from the start."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __repr__(self) -> str:
        return f"<AdmissionMetrics of {self._catalog!r}>"

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        found = homes(self._catalog)
        queues = [
            (labels(("model", "version", "class"), (names[0], admission.pool.name, name)), admission, rank)
            for admission, names in found.items()
            for rank, name in RANKED
        ]
        for name, text, read in _QUEUES:
            values = ((between, read(admission, rank)) for between, admission, rank in queues)
            samples = ((between, value) for between, value in values if value is not None)
            yield from family("gauge", f"snowshed_queue_{name}", text, samples)
        yield from family(
            "counter", "snowshed_shed_total", "Requests that were refused because no place could be had in time.",
            (
                (f'{between},reason="{reason}"', admission.refused[reason, rank])
                for between, admission, rank in queues
                for reason in _REASONS
            ),
        )  # fmt: skip
        yield from family(
            "gauge", "snowshed_replica_utilisation", "How much of what the replica may have now is under way, of 1.",
            (
                (labels(("model", "replica", "limit"), (names[0], replica.name, limit)), used / most)
                for admission, names in found.items()
                for replica in admission.pool.replicas
                for limit, used, most in uses(replica)
            ),
        )  # fmt: skip

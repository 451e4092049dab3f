"""What each replica has had, failed and is busy with, as series: read on a scrape, so that no request pays for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engines.api import EngineError, Failed, Interrupted, Overloaded, TimedOut, Unreachable
from gateway.exposition import family, labels
from gateway.readiness import Readiness
from router.api import Replica
from router.catalog import Catalog

REASONS: Final[dict[type[EngineError], str]] = {
    Unreachable: "unreachable",
    Overloaded: "overloaded",
    Failed: "failed",
    TimedOut: "timed_out",
    Interrupted: "interrupted",
}
"""The failures that say something about a replica; a rejected call says it of the caller."""


class ReplicaMetrics:
    """Replicas and models are the configuration's, so their number is too. All series are there from the start."""

    def __init__(self, catalog: Catalog, readiness: Readiness) -> None:
        self._catalog = catalog
        self._readiness = readiness

    def __repr__(self) -> str:
        return f"<ReplicaMetrics of {self._catalog!r}, {self._readiness!r}>"

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        homes: dict[Replica, str] = {}
        for model in self._catalog:  # adapters come after the model whose replicas they share
            for replica in model.replicas:
                homes.setdefault(replica, model.name)
        replicas = [(labels(("model", "replica"), (home, replica.name)), replica) for replica, home in homes.items()]
        ready = not self._readiness.reasons()
        yield from family("gauge", "snowshed_ready", "Whether requests may be sent here.", [("", int(ready))])
        yield from family(
            "gauge", "snowshed_replica_ready", "Whether the last probe of the replica found it ready.",
            [(between, int(not replica.verdict)) for between, replica in replicas],
        )  # fmt: skip
        yield from family(
            "gauge", "snowshed_replica_in_flight", "Calls that the replica is busy with.",
            [(between, replica.in_flight) for between, replica in replicas],
        )  # fmt: skip
        yield from family(
            "counter", "snowshed_replica_calls_total", "Calls to the replica, those after a fail-over included.",
            [(between, replica.calls) for between, replica in replicas],
        )  # fmt: skip
        yield from family(
            "counter", "snowshed_replica_failures_total", "Calls that the replica failed, by the way it did.",
            [
                (f'{between},reason="{reason}"', replica.failures[kind])
                for between, replica in replicas
                for kind, reason in REASONS.items()
            ],
        )  # fmt: skip

"""What each replica has had, failed and is busy with, as series: read on a scrape, so that no request pays for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, get_args

from engines.api import EngineError, Failed, Interrupted, Overloaded, TimedOut, Unreachable
from gateway.exposition import family, labels
from gateway.readiness import Readiness
from router.api import Replica
from router.breaker import State
from router.catalog import Catalog
from router.events import Events
from router.pool import Pool

REASONS: Final[dict[type[EngineError], str]] = {
    Unreachable: "unreachable",
    Overloaded: "overloaded",
    Failed: "failed",
    TimedOut: "timed_out",
    Interrupted: "interrupted",
}
"""The failures that say something about a replica; a rejected call says it of the caller."""


STATES: Final = get_args(State)

_FAMILIES: Final[tuple[tuple[Literal["counter", "gauge"], str, str, Callable[[Replica], float]], ...]] = (
    ("gauge", "ready", "Whether the last probe of the replica found it ready.",
     lambda replica: int(not replica.verdict)),
    ("gauge", "in_flight", "Calls that the replica is busy with.", lambda replica: replica.in_flight),
    ("gauge", "tokens_in_flight", "Tokens of these calls, estimated.", lambda replica: replica.tokens),
    ("gauge", "weight", "The share of a healthy replica's work that it may have now.", lambda replica: replica.weight),
    ("counter", "calls_total", "Calls to the replica, those after a fail-over included.",
     lambda replica: replica.calls),
)  # fmt: skip
"""Of each replica: one series."""


class ReplicaMetrics:
    """Replicas and models are the configuration's, so their number is too. All series are there from the start."""

    def __init__(self, catalog: Catalog, readiness: Readiness, events: Events) -> None:
        self._catalog = catalog
        self._readiness = readiness
        self._events = events

    def __repr__(self) -> str:
        return f"<ReplicaMetrics of {self._catalog!r}, {self._readiness!r}>"

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        ready = not self._readiness.reasons()
        yield from family("gauge", "snowshed_ready", "Whether requests may be sent here.", [("", int(ready))])
        homes = self._homes()
        text = "Whether what is thought of replicas is not heeded, as too few would be left."
        yield from family(
            "gauge", "snowshed_pool_panicking", text,
            [(labels(("model", "version"), (home, pool.name)), int(pool.panicking)) for pool, home in homes.items()],
        )  # fmt: skip
        replicas = [
            (labels(("model", "replica"), (home, replica.name)), replica)
            for pool, home in homes.items()
            for replica in pool.replicas
        ]
        for kind, name, text, read in _FAMILIES:
            yield from family(
                kind, f"snowshed_replica_{name}", text, ((between, read(replica)) for between, replica in replicas)
            )
        yield from self._by_label(replicas)

    def _homes(self) -> dict[Pool, str]:
        """Each pool, and the model that it is for: adapters come after the one whose replicas they share."""
        homes: dict[Pool, str] = {}
        for model in self._catalog:
            for version in model.versions.values():
                homes.setdefault(version.pool, model.name)
        return homes

    def _by_label(self, replicas: list[tuple[str, Replica]]) -> Iterator[str]:
        """What is told by one label more."""
        counts = self._events.counts
        yield from family(
            "counter", "snowshed_replica_failures_total", "Calls that the replica failed, by the way it did.",
            (
                (f'{between},reason="{reason}"', replica.failures[kind])
                for between, replica in replicas
                for kind, reason in REASONS.items()
            ),
        )  # fmt: skip
        yield from family(
            "gauge", "snowshed_replica_state", "1 for what is thought of the replica now, 0 for all else.",
            (
                (f'{between},state="{state}"', int(state == replica.breaker.state))
                for between, replica in replicas
                for state in STATES
            ),
        )  # fmt: skip
        yield from family(
            "counter", "snowshed_replica_changes_total", "How often that became another, by what it became.",
            (
                (f'{between},to="{state}"', counts[replica.name, state])
                for between, replica in replicas
                for state in STATES
            ),
        )  # fmt: skip

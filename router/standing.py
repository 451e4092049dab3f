"""Which replicas of a version may be asked now, and what share of its work each may have."""

from __future__ import annotations

from collections.abc import Sequence

from engines.api import Capacity
from router.api import Replica
from router.limits import largest_prompt, limits_of
from router.outcomes import SPAN

LEAST_IN_PANIC = 0.05
"""Of the best one's share: enough to notice who is back, and little enough for the retry budget."""


class Standing:
    """Worked out once when something changes, so that who picks finds the answer lying there. Times: loop seconds."""

    def __init__(self) -> None:
        self.candidates: tuple[Replica, ...] = ()
        """Those that may be asked."""
        self.awaiting: tuple[Replica, ...] = ()
        """Each gets the next request, as its probe, or to have some more by which to tell whether it has stalled."""
        self.doubted: Sequence[Replica] = ()
        """Those that are silent with few calls."""
        self.panicking = False
        """Whether ejections, or the verdicts of probes, are not heeded because too few would be left."""
        self._best = 1.0  # trust in the most trusted of those that may be asked
        self._fittest = 1.0  # health of the healthiest of them
        self._doubted: dict[Replica, float] = {}  # since when a probe says that it is not ready

    def __repr__(self) -> str:
        return f"<Standing: {len(self.candidates)} may be asked{', panicking' if self.panicking else ''}>"

    def arrange(self, replicas: tuple[Replica, ...], now: float) -> None:
        """Of these, all that there are."""
        self._doubted = {replica: since for replica, since in self._doubted.items() if replica in replicas}
        serving = [replica for replica in replicas if not (replica.draining or replica.breaker.by_hand)]
        out = sum(replica.breaker.out for replica in serving)
        panicking = 2 * out > len(serving)
        ready = [replica for replica in serving if self._ready(replica, now)]
        fit = ready if panicking else [replica for replica in ready if not replica.breaker.out]
        self.panicking = panicking or (bool(serving) and not fit)
        self.candidates = tuple(fit or serving)
        probes = [replica for replica in ready if replica.breaker.awaits_probe(now)]
        self.awaiting = (*probes, *(replica for replica in self.doubted if replica in self.candidates))
        self._best = max((replica.breaker.trust(now) for replica in self.candidates), default=1.0)
        self._measure(now)
        for replica in replicas:
            self._weigh(replica, now)

    def heed(self, replicas: tuple[Replica, ...], capacity: Capacity, *, anew: bool = False) -> float:
        """The limits that were set for each, and those of which its engine tells; unless `anew`, only where it tells
        something else than before. Returns the tokens, by estimate, of the largest prompt that one could ever hold.
        """
        for replica in replicas:
            said = getattr(replica.engine, "capacity", None)
            if anew or (said is not replica.said and said != replica.said):
                replica.said = said
                replica.limits = limits_of(capacity, said)
                replica.room = replica.limits.by_rank(replica.part)
        return largest_prompt(replicas)

    def weigh(self, replica: Replica, now: float) -> None:
        """What has just happened to it, taken into its share; the others have theirs when all are arranged."""
        self._measure(now)
        self._weigh(replica, now)

    def _measure(self, now: float) -> None:
        self._fittest = max((replica.breaker.health(now) for replica in self.candidates), default=1.0)

    def _weigh(self, replica: Replica, now: float) -> None:
        """Its share, and with it how much of its limits: as much as it is well beside the best, and not busy.

        Or a version's only replica would warm up, or live down a failure, while nearly all are refused.
        """
        breaker = replica.breaker
        if self.panicking:
            weight = part = min(1.0, max(LEAST_IN_PANIC, breaker.trust(now) / self._best))
        else:
            weight = breaker.weight(now)
            part = min(1.0, weight / self._fittest) if self._fittest else weight
        replica.weight = weight
        if part != replica.part:
            replica.part = part
            replica.room = replica.limits.by_rank(part)

    def _ready(self, replica: Replica, now: float) -> bool:
        """As its last probe found it; but one that has answered calls since is not hung, whatever a probe says."""
        if replica.verdict in ("", "not probed yet"):
            self._doubted.pop(replica, None)
            return True
        since = self._doubted.setdefault(replica, now)
        return replica.breaker.answered_at >= max(since, now - SPAN)

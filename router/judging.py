"""What only shows beside the other replicas: a stall, and slowness."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from router.api import Notes, Replica
from router.breaker import NEVER
from router.limits import MOST

WAITING = 3
"""Calls without a sign of life that tell of a stall; fewer may all be hard ones, and get company first."""
LEAST_TIME, TIMES = 0.25, 4.0
"""Seconds that each of these must have had, and times what such calls usually take."""
PREFILL = 120e-6
"""Seconds that each token of a prompt may take, on top."""
LEAST_SILENCE, SILENCE = 2.0, 20.0
"""A stall lasts so many seconds, and so many times the usual wait for first content."""
SAMPLES = 10
"""First contents in the window before their mean is compared."""
MARGIN = 0.25
"""Seconds by which it must be above the others': three times next to nothing is nothing."""
LATEST = 16
"""Whole texts over which the time that they usually take is averaged."""
CLOCK_STEP = 0.001
"""Nothing is told to be faster."""


class Usual:
    """How long first contents and whole texts of a version usually take, and by that who has stalled."""

    def __init__(self) -> None:
        self._first = 0.0  # seconds, when it last could be told
        self._whole = NEVER  # until it is known, such a wait tells nothing

    def __repr__(self) -> str:
        return f"<Usual {self._first:.3f} s to first content, {self._whole:.3f} s to a whole text>"

    def note_first(self, replicas: Sequence[Replica]) -> None:
        self._first = usual(replicas) or self._first

    def note_whole(self, waited: float) -> None:
        self._whole = waited if self._whole == NEVER else self._whole + (waited - self._whole) / LATEST

    def stalls(self, replica: Replica, among: Sequence[Replica], now: float) -> float:
        """Seconds for which it has been silent, if that is a stall; where no other shows life either, it is none."""
        breaker = replica.breaker
        if breaker.probe is not None:
            silent, usual = now - breaker.probe, self._of(whole=any(notes.whole for notes in replica.active))
            stalled = silent >= patience(usual)
        elif not breaker.out and breaker.in_vain >= LEAST_SILENCE:  # connecting takes no longer for a hard call
            silent, stalled = breaker.in_vain, True
        else:
            silent, usual, calls = self._silence(replica, now)
            stalled = len(calls) >= WAITING and now - calls[WAITING - 1] >= max(LEAST_TIME, TIMES * usual)
        return silent if stalled and self._others_live(replica, among, now) else 0.0

    def doubts(self, replica: Replica, among: Sequence[Replica], now: float) -> bool:
        """Whether it is silent for so long with too few calls to tell: a few more will.

        Only where somebody has said how much it works on at a time: else they might just wait behind a hard one.
        """
        if replica.limits.requests >= MOST.requests:
            return False
        _, _, calls = self._silence(replica, now)
        return 0 < len(calls) < WAITING and self._others_live(replica, among, now)

    def _silence(self, replica: Replica, now: float) -> tuple[float, float, list[float]]:
        """Seconds for which it has let its calls wait, what such calls usually take, and since when each waits.

        Without calls where that is not long, or it is out. Those whose client does not read count for nothing. Whole
        texts are silent while all is well, so that they may take longer; where many streams wait beside them, these
        tell.
        """
        breaker = replica.breaker
        if breaker.out or not replica.active or shows_life(replica, now - patience(self._first)):
            return 0.0, 0.0, []
        calls = [(notes, _begins(notes, sent)) for notes, sent in replica.active.items() if not notes.paused]
        streams = [since for notes, since in calls if not notes.whole]
        waiting = sorted(streams if len(streams) >= WAITING else [since for _, since in calls])
        usual = self._of(whole=len(waiting) > len(streams))
        silent = now - max(breaker.life, waiting[0]) if waiting else 0.0
        return silent, usual, waiting if silent >= patience(usual) else []

    def _of(self, *, whole: bool) -> float:
        return max(self._first, self._whole) if whole else self._first

    def _others_live(self, replica: Replica, among: Sequence[Replica], now: float) -> bool:
        since = now - patience(self._first)
        return any(shows_life(other, since) for other in among if other is not replica)


def _begins(notes: Notes, sent: float) -> float:
    """When its silence does: once its prompt may have been read, or at its first content."""
    return -sent if sent < 0 else sent + PREFILL * notes.prompt


def shows_life(replica: Replica, since: float) -> bool:
    """Whether work has got done there since (loop seconds); looks at its calls only if that is not known already."""
    breaker = replica.breaker
    if breaker.life < since:
        spoken = (notes.last_at for notes, sent in replica.active.items() if sent < 0)
        breaker.life = max(breaker.life, max(spoken, default=breaker.life))
    return breaker.life >= since


def usual(replicas: Sequence[Replica]) -> float:
    """Seconds to first content lately, over all of them; 0.0 if there was none."""
    outcomes = [replica.breaker.outcomes for replica in replicas]
    return sum(each.mean * each.firsts for each in outcomes) / (sum(each.firsts for each in outcomes) or 1)


def patience(wait: float) -> float:
    """Seconds of silence that are a stall where first content usually takes `wait`."""
    return max(LEAST_SILENCE, SILENCE * wait)


def paces(replicas: Sequence[Replica]) -> list[float | None]:
    """For each its mean first-content time by the median of the others'; None if too little is known.

    Those that are out are not compared, nor with. Who has said nothing lately is as good as the others.
    """
    means = [None if replica.breaker.out else mean(replica) for replica in replicas]
    known = [value for value in means if value is not None]
    ratios: list[float | None] = []
    for replica, own in zip(replicas, means, strict=True):
        if own is None:
            ratios.append(None if replica.breaker.outcomes.firsts else 1.0)
        elif own - min(known) < MARGIN:
            ratios.append(1.0)
        else:
            ratios.append(_ratio(own, known))
    return ratios


def _ratio(own: float, known: list[float]) -> float:
    others = list(known)
    others.remove(own)
    middle = median(others)
    return own / max(middle, CLOCK_STEP) if own - middle >= MARGIN else 1.0


def mean(replica: Replica) -> float | None:
    """Seconds to first content, lately; None if there were too few to tell."""
    outcomes = replica.breaker.outcomes
    return outcomes.mean if outcomes.firsts >= SAMPLES else None

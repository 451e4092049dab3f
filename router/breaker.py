"""Whether one replica may be asked, and for how much, judged by what came of its calls.

closed ──slow──> suspect          both still work; a suspect has half a share
closed, suspect, slow_start ──failures, stall, very slow──> ejected
ejected ──its time is over──> probing ──first content──> slow_start ──30 s──> closed
                                      └─failure──> ejected, for longer
"""

from __future__ import annotations

from random import Random
from typing import Literal

from router.outcomes import Outcomes
from router.push_back import PushBack

State = Literal["closed", "suspect", "ejected", "probing", "slow_start"]

STREAK, WARM_STREAK = 3, 2
"""Failures in a row that eject; the second during a slow start."""
ENOUGH = 20
"""Outcomes in the window before half of them failing ejects."""
EJECTION, LONGEST, JITTER = 10.0, 300.0, 0.2
"""Seconds of the first ejection, and by which the next is longer; of the longest; the part by which each varies."""
FORGIVEN = 60.0
"""Seconds closed after which the next ejection is shorter by one step again."""
SLOW_START, LEAST_START = 30.0, 0.1
SLOW, VERY_SLOW, FINE, LASTING = 3.0, 5.0, 2.0, 3.0
"""Times the others' first-content time that make a suspect, eject, and clear; and seconds for which they must last."""
STEADY = 1.0
"""Seconds that an ejection lasts whatever is answered: what fails half of the time does not flap."""
LEAST = 0.01
"""No weight is less, so that it can be divided by."""
NEVER = float("inf")


class Breaker:
    """Pure: every method is told the time, in seconds of any clock that only rises; `sent` is a call's time of sending.

    What changes the state returns why, for people, and else "".
    """

    __slots__ = ("_heard_from", "_slow_at", "_streak", "_tried_until", "_very_slow_at", "answered_at", "by_hand",
                 "cuts", "ejections", "in_vain", "life", "out", "outcomes", "probe", "push_back", "reason", "since",
                 "state", "until")  # fmt: skip

    def __init__(self) -> None:
        self.state: State = "closed"
        self.out = False
        """Whether it gets no more than a probe."""
        self.since = 0.0
        """When it came into this state."""
        self.reason = ""
        """Why, for people."""
        self.until = 0.0
        """When an ejection ends."""
        self.by_hand = False
        """Whether a person has ejected it: then nothing that it does brings it back."""
        self.ejections = 0
        """In short succession: the next one is longer."""
        self.probe: float | None = None
        """When the one request was sent that probes it; None: the place is free."""
        self.answered_at = -NEVER
        """When a call's first content last came."""
        self.life = -NEVER
        """When any content did, as far as known: see `judging.shows_life`."""
        self.outcomes = Outcomes()
        self.push_back = PushBack()
        self.cuts = 0
        """Streams that it has cut, with none whole between."""
        self.in_vain = 0.0
        """Seconds for which calls have tried to connect, with no answer since."""
        self._tried_until = -NEVER
        self._streak = 0
        self._heard_from = -NEVER  # calls sent before it tell nothing of the server as it is now
        self._slow_at = self._very_slow_at = NEVER

    def __repr__(self) -> str:
        return f"<Breaker {self.state}, {self.streak} failed in a row, {self.outcomes!r}, ejected {self.ejections}x>"

    @property
    def streak(self) -> int:
        """Failures in a row: before content, with none that has come between; or of streams, with none whole between.

        They are counted apart: a stream that is cut has had its first content.
        """
        return max(self._streak, self.cuts)

    def sent(self, now: float) -> None:
        if self.state == "probing" and self.probe is None:
            self.probe = now

    def answered(self, now: float, sent: float, waited: float | None) -> str:
        """First content is here, after so many seconds; None: they can't be compared with those of others."""
        self.life = self.answered_at = now
        self._streak = 0
        self.in_vain = 0.0
        current = self.outcomes.current  # counted here: it is each request's time
        current.good += 1
        if waited is not None:
            current.firsts += 1
            current.waited += waited
        return self._recover(now, sent) if self.out and self.cuts < WARM_STREAK else ""

    def finished(self, now: float, sent: float) -> str:
        """A whole answer is here: nothing less clears who was ejected for streams that it cut."""
        self.life = now
        self.cuts = 0
        return self._recover(now, sent) if self.out else ""

    def rejected(self, now: float, sent: float) -> str:
        """It found the caller's mistake. That makes up for no failure: it may answer nothing else."""
        return self._recover(now, sent) if self.out else ""

    def unconnected(self, now: float, sent: float) -> None:
        """A call has tried to connect for as long as it may. To be told before `failed`."""
        self.in_vain += now - max(sent, self._tried_until)
        self._tried_until = now

    def failed(self, now: float, sent: float, random: Random, *, cut: bool = False) -> str:
        """It broke, or was silent; `cut`: after first content."""
        if sent < self._heard_from:
            return ""
        self.outcomes.add(now, good=False)
        if cut:
            self.cuts += 1
        else:
            self._streak += 1
        if self.out:
            return self.eject(now, random, "the probe failed") if self._frees(sent) else ""
        if self.streak >= (WARM_STREAK if self.state == "slow_start" else STREAK):
            return self.eject(now, random, f"{self.streak} failures in a row")
        bad = self.outcomes.bad
        total = bad + self.outcomes.good
        if total >= ENOUGH and 2 * bad >= total:
            return self.eject(now, random, f"{bad} of {total} calls failed")
        return ""

    def pushed_back(self, now: float, sent: float, retry_after: float | None) -> None:
        """It has too much to do; that is no failure."""
        self._frees(sent)
        self.push_back.note(now, retry_after, self.outcomes.good)

    def ignored(self, sent: float) -> None:
        """The end of the call says nothing."""
        self._frees(sent)

    def compare(self, now: float, ratio: float | None, random: Random) -> str:
        """`ratio`: its first-content time by that of the others, None if too little is known; told some times a second.

        Only what lasts counts.
        """
        slow = ratio is not None and ratio > SLOW
        very_slow = ratio is not None and ratio > VERY_SLOW
        self._slow_at = min(self._slow_at, now) if slow else NEVER
        self._very_slow_at = min(self._very_slow_at, now) if very_slow else NEVER
        if self.state == "suspect" and ratio is not None and ratio < FINE:
            return self._turn("closed", now, "as fast as the others again")
        if self.state not in ("closed", "suspect"):
            return ""
        if now - self._very_slow_at >= LASTING:
            return self.eject(now, random, f"{ratio:.1f} times slower than the others")
        if self.state == "closed" and now - self._slow_at >= LASTING:
            return self._turn("suspect", now, f"{ratio:.1f} times slower than the others")
        return ""

    def tick(self, now: float) -> str:
        """What time alone changes."""
        self.outcomes.turn(now)
        if self.state == "ejected" and now >= self.until:
            self.by_hand = False
            return self._turn("probing", now, f"ejected for {now - self.since:.1f} s")
        if self.state == "slow_start" and now - self.since >= SLOW_START:
            return self._start(now, "closed", "warmed up")
        return ""

    def eject(self, now: float, random: Random, reason: str) -> str:
        """For longer each time, and jittered so that many gateways do not come back as one."""
        if not self.out:
            self._heard_from = now
        reason = self._turn("ejected", now, reason)
        self.ejections += 1
        steps = min(LONGEST, EJECTION * self.ejections)
        self.until = now + steps * random.uniform(1 - JITTER, 1 + JITTER)
        return reason

    def stalled(self, now: float, seconds: float, random: Random) -> str:
        """It has let its calls wait for so long. If one of them is answered after all, it is back."""
        heard_from = self._heard_from
        reason = self.eject(now, random, f"stalled for {seconds:.1f} s")
        self._heard_from = heard_from
        return reason

    def eject_by_hand(self, now: float, seconds: float | None) -> str:
        """None: until it is restored."""
        if not self.out:
            self._heard_from = now
        reason = self._turn("ejected", now, "by hand")
        self.by_hand = True
        self.until = NEVER if seconds is None else now + seconds
        return reason

    def restore(self, now: float) -> str:
        """By hand. What was ejected for its failures warms up first."""
        if self.state == "closed":
            return ""
        warms_up = self.out and not self.by_hand
        self.by_hand = False
        self.ejections = 0
        return self._start(now, "slow_start" if warms_up else "closed", "by hand")

    def awaits_probe(self, now: float) -> bool:
        return self.state == "probing" and self.probe is None and now >= self.push_back.quiet_at

    def trust(self, now: float) -> float:
        """What failures and push-back leave of its share, whatever its state: what fails fast must attract nothing."""
        return max(LEAST, self.push_back.share(now) * self._soundness())

    def weight(self, now: float) -> float:
        """Its share, over 0 to 1."""
        return max(LEAST, self.push_back.share(now) * self.health(now))

    def health(self, now: float) -> float:
        """What its state and failures leave of its share, 0 to 1: push-back says how busy it is, not how well."""
        share = 1.0
        if self.state == "slow_start":
            share = min(1.0, max(LEAST_START, (now - self.since) / SLOW_START))
        elif self.state == "suspect":
            share = 0.5
        elif self.out:
            share = 0.0
        return share * self._soundness()

    def _soundness(self) -> float:
        bad = self.outcomes.bad
        if not bad:
            return 1.0
        rate = bad / max(ENOUGH, bad + self.outcomes.good)
        return (1 - rate) ** 2 / (1 + 3 * self.streak)

    def _frees(self, sent: float) -> bool:
        """Whether this call was the probe; its place is free then."""
        if sent != self.probe:
            return False
        self.probe = None
        return True

    def _recover(self, now: float, sent: float) -> str:
        self._frees(sent)
        steady = self.state == "ejected" and now < self.since + STEADY
        if steady or self.by_hand or sent < self._heard_from:
            return ""
        self._heard_from = sent  # what was sent before met the server that was broken
        return self._start(now, "slow_start", "answered again")

    def _start(self, now: float, state: State, reason: str) -> str:
        """With nothing remembered of how it was."""
        self.outcomes = Outcomes(now)
        self._streak = self.cuts = 0
        self.in_vain = 0.0
        return self._turn(state, now, reason)

    def _turn(self, state: State, now: float, reason: str) -> str:
        if self.state == "closed":
            self.ejections = max(0, self.ejections - int((now - self.since) / FORGIVEN))
        self.state = state
        self.out = state in ("ejected", "probing")
        self.since = now
        self.reason = reason
        self.probe = None
        return reason

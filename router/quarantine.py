"""Prompts under which model servers die: after the second death without a success between, refused for a while.

Engines trust their input, and one bad prompt can take a process down with all that runs in it. Tried again, by us or
by its sender, it takes the next one. Whoever shared a server with such a prompt is a suspect as well, so a success
clears at once, and calls of the same prompt that die together count as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from engines.api import SUBJECTS, Call
from router.api import Quarantined

DEATHS = 2
REFUSED = 60.0
"""Seconds for which it is refused then. The next one is a trial: it clears the prompt, or counts as one more death."""
REMEMBERED = 600.0
"""Seconds after which a last death is forgotten."""
INSTANT = 1.0
"""Seconds within which deaths on one replica are the same one."""
BOUND = 1024
"""Suspects; beyond it the oldest is forgotten."""


@dataclass(slots=True)
class _Suspicion:
    deaths: int
    replica: str
    at: float


class Quarantine:
    """Costs nothing unless a server has died lately. `clock` in seconds. Prompts are kept as keyed hashes only."""

    def __init__(self, clock: Callable[[], float], key: bytes) -> None:
        self._clock = clock
        self._key = key
        self._suspects: dict[bytes, _Suspicion] = {}  # the one that was seen last comes last

    def __repr__(self) -> str:
        return f"<Quarantine {len(self._suspects)} suspects>"

    def check(self, call: Call) -> None:
        """Raises Quarantined."""
        if not self._suspects:
            return
        self._forget()
        suspicion = self._suspects.get(self._mark(call))
        if suspicion is not None and suspicion.deaths >= DEATHS:
            left = suspicion.at + REFUSED - self._clock()
            if left > 0:
                raise Quarantined(call.kind, left)

    def died(self, call: Call, replica: str) -> None:
        """The server broke down while it had the call."""
        self._forget()
        mark, now = self._mark(call), self._clock()
        suspicion = self._suspects.get(mark)
        if suspicion is None:
            suspicion = _Suspicion(0, "", 0.0)
        if suspicion.replica != replica or now - suspicion.at > INSTANT:
            suspicion.deaths += 1
        suspicion.replica, suspicion.at = replica, now
        self._suspects.pop(mark, None)
        self._suspects[mark] = suspicion
        if len(self._suspects) > BOUND:
            del self._suspects[next(iter(self._suspects))]

    def survived(self, call: Call) -> None:
        """A server has answered it to the end."""
        if self._suspects:
            self._suspects.pop(self._mark(call), None)

    def _forget(self) -> None:
        """What nobody has died of for long; or calls would be looked up for ever, each by two hashes of its prompt."""
        past = self._clock() - REMEMBERED
        while self._suspects and next(iter(self._suspects.values())).at < past:
            del self._suspects[next(iter(self._suspects))]

    def _mark(self, call: Call) -> bytes:
        digest = blake2b(call.model.encode(), key=self._key, digest_size=16)
        digest.update(call.fields.get(SUBJECTS[call.kind], b""))
        return digest.digest()

"""What a replica may have at a time, so that who waits does so here, where it costs nothing, and not in its queue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING, Final, NamedTuple

from engines.api import Capacity

if TYPE_CHECKING:
    from router.api import Notes, Replica

HEADROOM: Final = (0.0, 0.05, 0.15)
"""The part of each limit that a class leaves to those above it."""
CERTAIN: Final = 2
"""Times what a server holds is too much for it: half of an estimate may be wrong, and to be refused for it is final."""


class Room(NamedTuple):
    """Limits as they hold for one class now."""

    requests: int
    prompt_tokens: float
    kv_tokens: float


@dataclass(slots=True, frozen=True)
class Limits:
    """Of one replica. An engine, or the operator, may know better: the defaults rather let too much through than let
    large servers idle.

    `prompt_tokens`: of prompts that were sent and have had no content yet; they protect the time to first token.
    `kv_tokens`: of all that is under way, prompts and answers; they protect the time between tokens.
    """

    requests: int = 1024
    prompt_tokens: int = 65_536
    kv_tokens: int = 2_000_000

    def by_rank(self, share: float) -> tuple[Room, Room, Room]:
        """For each class, of a replica that may have this share (over 0 to 1) of its work."""
        critical, standard, batch = (self._room(share, headroom) for headroom in HEADROOM)
        return critical, standard, batch

    def _room(self, share: float, headroom: float) -> Room:
        """Where there are few places, whole ones are left free, or none; a little less trust costs none."""
        places = ceil(self.requests * share)
        rest = share * (1 - headroom)
        return Room(places - int(places * headroom), self.prompt_tokens * rest, self.kv_tokens * rest)


UNSAID: Final = Capacity()
MOST: Final = Limits()


def limits_of(set_for_it: Capacity, said: Capacity | None) -> Limits:
    """What was set counts before what the engine says, and that before what suits most."""
    engine = said or UNSAID
    return Limits(
        set_for_it.requests or engine.requests or MOST.requests,
        set_for_it.prompt_tokens or engine.prompt_tokens or MOST.prompt_tokens,
        set_for_it.kv_tokens or engine.kv_tokens or MOST.kv_tokens,
    )


def largest_prompt(replicas: Iterable[Replica]) -> float:
    """Tokens, by estimate, beyond which none of them could ever hold a prompt; without end if one does not tell."""
    told = [replica.said.kv_tokens if replica.said else None for replica in replicas]
    return max((tokens * CERTAIN if tokens else inf for tokens in told), default=inf)


def has_room(replica: Replica, notes: Notes) -> bool:
    """Whether the request fits beside what the replica has. An idle one takes any: who else would?"""
    under_way = len(replica.active)
    if not under_way:
        return True
    room = replica.room[notes.rank]
    prompts = replica.prompts
    return (
        under_way < room.requests
        and (not prompts or prompts + notes.prompt <= room.prompt_tokens)
        and replica.tokens + replica.others + notes.tokens <= room.kv_tokens
    )

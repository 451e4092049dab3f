"""The replica that most recently had the longest beginning of a prompt, whose KV cache then spares a prefill."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from random import Random

from router.api import Affinity, Replica
from router.busy import load, mean_load
from router.policies.least_loaded import LeastLoaded

BLOCK = 512
"""Bytes of a prompt's JSON that are compared as one: a hundred tokens or so."""
LOOKED_AT = 64
"""Blocks of one prompt: who has the first 32 kB in common mostly has the rest."""
WORTH = 2
"""Blocks that have to be known: one alone is often no more than a template's opening."""
REMEMBERED = 65_536
"""Blocks of all prompts; a dozen MB."""
TOLERATED = 1.5
"""Times the mean load that a replica may have: beyond, a prefill elsewhere is sooner done than this one's queue."""
SLACK = 2048
"""Tokens on top, so that idle replicas are no reason to spread."""


class PrefixAffinity:
    """Remembers for each block, together with all before it, the name of the replica that was chosen last.

    A hot beginning moves on to the least loaded replica whenever its own gets too busy, and so ends up on as many as
    it takes. Hashes are the interpreter's own, keyed per process: nobody else has to agree on them.
    """

    heeds_affinity = True

    def __init__(self, random: Random) -> None:
        self._otherwise = LeastLoaded(random)
        self._owners: OrderedDict[int, str] = OrderedDict()

    def __repr__(self) -> str:
        return f"<PrefixAffinity {len(self._owners)} blocks>"

    def pick(self, replicas: Sequence[Replica], affinity: Affinity) -> Replica:
        if len(replicas) == 1 or len(affinity.prompt) < WORTH * BLOCK:
            return self._otherwise.pick(replicas, affinity)
        blocks = _blocks(affinity.prompt)
        replica = self._owner(replicas, blocks)
        if replica is None or load(replica) > TOLERATED * mean_load(replicas) + SLACK:
            replica = self._otherwise.pick(replicas, affinity)
        self._remember(blocks, replica.name)
        return replica

    def _owner(self, replicas: Sequence[Replica], blocks: list[int]) -> Replica | None:
        """Of the longest known beginning that has one among these replicas."""
        gone = ""
        for block in reversed(blocks[WORTH - 1 :]):
            name = self._owners.get(block, gone)
            if name != gone:
                for replica in replicas:
                    if replica.name == name:
                        return replica
                gone = name
        return None

    def _remember(self, blocks: list[int], name: str) -> None:
        owners = self._owners
        for block in reversed(blocks):  # longest first: what many share is forgotten last
            owners[block] = name
            owners.move_to_end(block)
        while len(owners) > REMEMBERED:
            owners.popitem(last=False)


def _blocks(prompt: bytes) -> list[int]:
    """A hash for each whole block and all before it, shortest first."""
    chained = 0
    blocks = []
    for start in range(0, min(len(prompt), LOOKED_AT * BLOCK) - BLOCK + 1, BLOCK):
        chained = hash((chained, prompt[start : start + BLOCK]))
        blocks.append(chained)
    return blocks

"""Whatever becomes of requests, their hedges, copies and fall-backs: a replica carries what is under way, no more."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from router.admission import Admission
from router.ticket import Ticket
from tests.support.town import Town, VirtualLoop


def live(seed: int, admission: type[Admission] = Admission) -> Town:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        town = Town(Random(seed), loop, admission)
        runner.run(town.live(150))
    carried = [(replica.tokens, replica.prompts, replica.active) for replica in town.replicas]
    assert carried == [(0, 0, {})] * 7
    assert not town.pressed
    assert [len(version.admission.queue) for version in (town.first, town.other)] == [0, 0]
    assert [engine.open for engine in town.engines] == [0] * 7, "each reply is closed"
    assert not town.scores.running
    return town


@pytest.mark.parametrize("seed", range(20))
def test_when_all_has_ended_no_replica_carries_anything(seed: int) -> None:
    town = live(seed)
    assert sum(replica.calls for replica in town.replicas) > 50
    assert town.waited > 5


class KeepsWhatIsGivenTooLate(Admission):
    """Of a request whose turn comes while it leaves, the place is never given up."""

    def _withdraw(self, ticket: Ticket, error: BaseException) -> None:
        self._discard(ticket)
        self.serve()


class DoesNotHear(Admission):
    """Places that become free are given out by the clock only."""

    def serve(self) -> None:
        super().serve()
        if self.pool.freed is not None:
            self.pool.freed = self._sleep

    def _sleep(self) -> None: ...


class KeepsReplicasFree(Admission):
    """A replica that was kept free for one request stays so when that is gone."""

    def _settle_reservation(self, ticket: Ticket) -> None: ...


@pytest.mark.parametrize("wrong", [KeepsWhatIsGivenTooLate, DoesNotHear, KeepsReplicasFree])
def test_an_admission_with_a_mistake_is_found_out(wrong: type[Admission]) -> None:
    for seed in range(100):
        try:
            live(seed, wrong)
        except AssertionError:
            return
    pytest.fail("nothing was noticed")

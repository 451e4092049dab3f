"""A request that may be hedged, over replicas that answer when a test says."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from engines.api import Call
from router.api import NO_AFFINITY, Replica
from router.dispatch import Dispatched, Dispatcher
from router.hedging import Hedge, HedgeAccount
from router.model import Version
from router.quarantine import Quarantine
from router.racing import HedgeOutcome
from router.retries import RetryBudget
from tests.support.gates import Gate, Noted
from tests.support.models import made_of
from tests.support.waiting import until

CALL = Call("call-1", "chat", {}, "public", stream=True, show_usage=False, deadline=1e9)
AFTER = 0.001


class Hedged:
    """A request under way over gates, one for each replica."""

    def __init__(
        self,
        *gates: Gate,
        after: float = AFTER,
        account: HedgeAccount | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.gates = gates
        self.version = _version(gates)
        self.call = replace(CALL)
        self.notes = Noted()
        self.account = account or HedgeAccount(RetryBudget(lambda: 0.0, 0.02, floor=1))
        dispatcher = Dispatcher(quarantine or Quarantine(lambda: 0.0, b"key"))
        hedge = Hedge(after, self.account)
        dispatching = dispatcher.dispatch(self.version, self.call, NO_AFFINITY, self.notes, hedge)
        self.task: asyncio.Task[Dispatched] = asyncio.get_running_loop().create_task(dispatching)

    async def asked(self, *numbers: int) -> None:
        """Until these gates have had a call."""
        await until(lambda: all(self.gates[number].calls for number in numbers))

    @property
    def in_flight(self) -> list[int]:
        return [replica.in_flight for replica in self.version.pool.replicas]

    @property
    def outcomes(self) -> dict[HedgeOutcome, int]:
        return dict(self.account.outcomes)


def _version(gates: tuple[Gate, ...]) -> Version:
    model = made_of("public", [Replica(f"r{number}", gate) for number, gate in enumerate(gates)])
    assert model.only is not None
    return model.only

"""A store that survives its master's end: a master, its replica, and three Sentinels that agree on who is which."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import redis

from loadtests.bench.processes import wait_until
from loadtests.quotas.sentinel import MASTER, Sentinel, running_sentinel, sentinel_url
from loadtests.quotas.store import Store, running_store

SENTINELS = 3
PATIENCE = 60.0
AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""A replica is not kept waiting for others that may come."""


class Replicated:
    """Two stores, of which one replicates the other, and who watches them."""

    def __init__(self, stores: tuple[Store, Store], sentinels: Sequence[Sentinel]) -> None:
        self.master, self.replica = stores
        """As at the beginning."""
        self._sentinels = sentinels

    def __repr__(self) -> str:
        return f"<Replicated {self.master} to {self.replica}, {len(self._sentinels)} Sentinels>"

    @property
    def url(self) -> str:
        """As gateways take it."""
        return sentinel_url([sentinel.port for sentinel in self._sentinels])

    def fail_over(self) -> None:
        """As an operator does, without need."""
        with self._sentinels[0].client() as client:
            client.execute_command("SENTINEL", "FAILOVER", MASTER)  # type: ignore[no-untyped-call]

    def wait_for_replica(self) -> None:
        """Until it has all that the master has by now, and the Sentinels know one another and both of them."""
        by_now = replication(self.master)["master_repl_offset"]
        wait_until(lambda: self._complete(by_now), PATIENCE, "replication", step=0.01)

    def wait_for_successor(self) -> float:
        """Seconds until all Sentinels say that what was the replica is the master, and it is."""
        return wait_until(lambda: self.succeeded, PATIENCE, "the fail-over", step=0.01)

    @property
    def succeeded(self) -> bool:
        with suppress(redis.ConnectionError):  # who is promoted closes all connections
            leads = replication(self.replica)["role"] == "master"
            return leads and {sentinel.told()[0] for sentinel in self._sentinels} == {self.replica.port}
        return False

    def _complete(self, offset: int) -> bool:
        told = [sentinel.told() for sentinel in self._sentinels]
        synced = replication(self.master).get("slave0", {}).get("offset", -1) >= offset
        return synced and told == [(self.master.port, 1, SENTINELS - 1)] * SENTINELS


@contextmanager
def running_replicated(down_after_ms: int = 1000) -> Iterator[Replicated]:
    """Complete at the beginning of the block; killed after it. `down_after_ms`: of silence until another is chosen."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())  # for what is sent to a replica
        options = [*AT_ONCE, "--dir", folder]
        master, replica = (stack.enter_context(running_store(options)) for _ in range(2))
        with replica.client() as client:
            client.replicaof("127.0.0.1", str(master.port))
        wait_until(lambda: replication(replica)["master_link_status"] == "up", PATIENCE, "replication")
        patience = [f"sentinel down-after-milliseconds {MASTER} {down_after_ms}"]
        sentinels = [stack.enter_context(running_sentinel(master.port, patience)) for _ in range(SENTINELS)]
        replicated = Replicated((master, replica), sentinels)
        replicated.wait_for_replica()
        yield replicated


def replication(store: Store) -> dict[str, Any]:
    """What it says of that."""
    with store.client() as client:
        return client.info("replication")

"""A cluster of a test's own: three masters that share all keys, one of them with a replica."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis.crc import key_slot

from loadtests.bench.processes import free_ports
from tests.support.valkey import ValkeyServer, running_valkey
from tests.support.waiting import wait_until

SLOTS = [(0, 5460), (5461, 10922), (10923, 16383)]
NODE_TIMEOUT_MS = 1000
"""Of silence, after which a node is taken to be down."""


class ValkeyCluster:
    """`replica` is that of the master that has `key`."""

    def __init__(self, masters: Sequence[ValkeyServer], replica: ValkeyServer, key: str) -> None:
        (self._at,) = [at for at, (low, high) in enumerate(SLOTS) if low <= key_slot(key.encode()) <= high]
        self.master = masters[self._at]
        self.replica = replica
        self._masters = masters

    def __repr__(self) -> str:
        return f"<ValkeyCluster {self._masters}, {self.replica} replicates {self.master}>"

    @property
    def url(self) -> str:
        """Of a node that has other keys."""
        return self._masters[self._at - 1].url.replace("redis:", "redis+cluster:")

    def join(self, buses: Sequence[int]) -> None:
        """All know each other after that, and the replica has all that its master has. `buses`: ports, by node."""
        nodes = [*self._masters, self.replica]
        for master, (low, high) in zip(self._masters, SLOTS, strict=True):
            _tell(master, "ADDSLOTSRANGE", low, high)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            _tell(nodes[0], "MEET", "127.0.0.1", node.port, bus)
        wait_until(lambda: all(_knows(node, len(nodes)) for node in nodes))
        with self.master.client() as client:
            name = client.cluster("MYID")
        _tell(self.replica, "REPLICATE", name)
        wait_until(lambda: _role(self.replica) == ("slave", "up"))

    def wait_for_replica(self) -> None:
        """Until it has all that its master has by now."""
        with self.master.client() as client:
            by_now = client.info("replication")["master_repl_offset"]
            wait_until(lambda: client.info("replication")["slave0"]["offset"] >= by_now)

    def wait_for_successor(self) -> None:
        """Until what was the replica is a master."""
        wait_until(lambda: _role(self.replica)[0] == "master")


def _tell(node: ValkeyServer, *words: str | int) -> None:
    with node.client() as client:
        client.execute_command("CLUSTER", *words)  # type: ignore[no-untyped-call]


def _knows(node: ValkeyServer, others: int) -> bool:
    with node.client() as client:
        info = client.cluster("INFO")
    return (info["cluster_state"], info["cluster_known_nodes"]) == ("ok", str(others))


def _role(node: ValkeyServer) -> tuple[str, str]:
    """And, of a replica, whether it hears its master."""
    with node.client() as client:
        info = client.info("replication")
    return info["role"], info.get("master_link_status", "")


@contextmanager
def running_cluster(folder: Path, key: str) -> Iterator[ValkeyCluster]:
    """Killed after the block; `key` is one whose master has a replica."""
    with ExitStack() as stack:
        buses = free_ports(4)
        nodes = []
        for number, bus in enumerate(buses):
            own = folder / f"node-{number}"
            own.mkdir()
            options = [
                "--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
                "--repl-diskless-sync-delay", "0", "--dir", str(own),
            ]  # fmt: skip
            nodes.append(stack.enter_context(running_valkey(options=options)))
        *masters, replica = nodes
        cluster = ValkeyCluster(masters, replica, key)
        cluster.join(buses)
        yield cluster

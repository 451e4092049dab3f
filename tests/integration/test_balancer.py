"""The balancer that tests put before several gateways is fair, passes on what it sees, and leaves nothing behind."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from loadtests.bench.processes import free_ports
from tests.support.balancer import balancing
from tests.support.waiting import PATIENCE, wait_until


class Target:
    """Accepts in a thread; each connection is told who took it, and is then in the test's hands."""

    def __init__(self, name: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.accepted: list[socket.socket] = []
        self._name = name
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed by the test
                return
            connection.settimeout(PATIENCE)
            self.accepted.append(connection)  # first: who has the name looks here next
            connection.sendall(self._name)

    def close(self) -> None:
        with self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join(PATIENCE)
        for connection in self.accepted:
            connection.close()


@contextmanager
def targets(count: int) -> Iterator[list[Target]]:
    with ExitStack() as stack:
        made = [Target(b"%d" % number) for number in range(count)]
        for target in made:
            stack.callback(target.close)
        yield made


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def taker(port: int) -> bytes:
    with connect(port) as connection:
        return connection.recv(1)


def reset(connection: socket.socket) -> None:
    """Close so that the other side gets a reset and no end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_connections_take_turns() -> None:
    with targets(3) as three, balancing(*(target.port for target in three)) as balancer:
        assert b"".join(taker(balancer.port) for _ in range(7)) == b"0120120"
        assert list(balancer.taken.values()) == [3, 2, 2]


def test_one_that_is_gone_is_passed_over_and_with_none_left_clients_are_cut() -> None:
    (nobody,) = free_ports(1)
    with targets(1) as (target,), balancing(nobody, target.port) as balancer:
        assert [taker(balancer.port) for _ in range(3)] == [b"0"] * 3
    with balancing(nobody) as balancer:
        assert taker(balancer.port) == b""


def test_bytes_pass_in_both_directions_and_the_end_of_one_is_not_that_of_the_other() -> None:
    sent = bytes(range(256)) * 4096
    with targets(1) as (target,), balancing(target.port) as balancer, connect(balancer.port) as client:
        assert client.recv(1) == b"0"

        def send() -> None:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=send)
        sending.start()
        assert read_all(target.accepted[0]) == sent
        sending.join(PATIENCE)
        target.accepted[0].sendall(b"heard all of it")
        target.accepted[0].shutdown(socket.SHUT_WR)
        assert read_all(client) == b"heard all of it"
        wait_until(lambda: balancer.open, lambda count: count == 0)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("side", ["client", "target"])
def test_a_broken_connection_breaks_the_other(side: str) -> None:
    with targets(1) as (target,), balancing(target.port) as balancer, connect(balancer.port) as client:
        assert client.recv(1) == b"0"
        breaking, other = (client, target.accepted[0]) if side == "client" else (target.accepted[0], client)
        reset(breaking)
        assert ended(other)
        wait_until(lambda: balancer.open, lambda count: count == 0)


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_leaving_the_block_frees_the_port_and_cuts_what_is_open() -> None:
    with targets(1) as (target,):
        with balancing(target.port) as balancer:
            client = connect(balancer.port)
            assert client.recv(1) == b"0"
        with client:
            assert ended(client)
        assert ended(target.accepted[0])
        with pytest.raises(ConnectionRefusedError):
            connect(balancer.port)

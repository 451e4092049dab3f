"""A Valkey server (Redis' protocol) of a test's own, from a package, that can be stopped, frozen and killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from loadtests.quotas.store import Store


class ValkeyServer(Store):
    """That of load tests, stopped like other servers of tests."""

    def stop(self) -> None:
        """At once; all that it held is gone."""
        self.kill()


@contextmanager
def running_valkey(password: str = "", options: Sequence[str] = ()) -> Iterator[ValkeyServer]:
    """Killed after the block. `options` are those of its command line. Where it can't be had, the test fails."""
    server = ValkeyServer(options, password)
    try:
        yield server
    finally:
        server.stop()

"""P31: long CPU work, in other processes or on other threads of its own, never makes a gateway look dead."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support import plain
from tests.support.asking import ask, body
from tests.support.gateway import configuration, running_gateway

PROCESSES = THREADS = 2
BURN = "from time import monotonic as now\nend = now() + 60\nwhile now() < end: sum(range(10_000))"
STALE = 3.0
"""Seconds after which this gateway's loop counts as dead, in place of ten: work for three times as long must do."""


@contextmanager
def burning() -> Iterator[None]:
    """Processes that take the cores, and threads of this process that take the interpreter's lock."""
    over = threading.Event()

    def burn() -> None:
        while not over.is_set():
            sum(range(10_000))

    with ExitStack() as stack:
        for _ in range(PROCESSES):
            child = subprocess.Popen([sys.executable, "-c", BURN])
            stack.callback(child.wait)
            stack.callback(child.kill)
        for _ in range(THREADS):
            thread = threading.Thread(target=burn)
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        yield


def test_p31_long_cpu_work_elsewhere_neither_stalls_nor_kills() -> None:
    with running_gateway(configuration()) as gateway, gateway.client() as client:
        gateway.run(lambda: setattr(gateway.objects.telemetry._heartbeat, "stale_after", STALE))
        with burning():
            until = time.monotonic() + 3 * STALE
            lives, answers = [], []
            while time.monotonic() < until:
                lives.append(plain.get(f"{gateway.ops_url}/livez").status_code)
                answers.append(ask(client, body()).status)
        assert set(lives) == {200}
        assert set(answers) == {200}
        assert len(lives) > 5

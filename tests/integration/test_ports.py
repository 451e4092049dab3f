"""Processes side by side are not given one another's ports, though nobody may listen there yet or any more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.bench.ports import claim
from loadtests.bench.processes import free_ports

ROOT = Path(__file__).parents[2]
_CLAIMS = "import sys; from loadtests.bench.ports import claim; print(claim({port}), flush=True); sys.stdin.read()"


@contextmanager
def claiming(port: int) -> Iterator[str]:
    """What another process is told that claims it, and that runs until the block is left."""
    command = [sys.executable, "-c", _CLAIMS.format(port=port)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        try:
            yield other.stdout.readline().strip()
        finally:
            other.communicate()


def test_a_port_is_given_out_once() -> None:
    (port,) = free_ports(1)
    assert not claim(port)
    with claiming(port) as told:
        assert told == "False"


def test_what_a_process_had_may_be_had_when_it_has_ended() -> None:
    (unused,) = free_ports(1)
    port = unused + 65_536  # such as is given to nobody
    with claiming(port) as told:
        assert told == "True"
        assert not claim(port)
    assert claim(port)

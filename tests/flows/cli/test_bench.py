"""`snowshed bench` becomes the measurement of `make bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.command_line import complaint, environment, snowshed
from tests.support.gateway import ROOT
from tests.support.waiting import wait_until


def test_a_file_that_can_t_be_written_is_told_before_the_minutes_that_it_takes(tmp_path: Path) -> None:
    assert "absent" in complaint(snowshed("bench", "--json", str(tmp_path / "absent" / "figures.json")), 2)


def test_it_becomes_the_bench(tmp_path: Path) -> None:
    figures = str(tmp_path / "figures.json")
    command = [sys.executable, "-m", "gateway", "bench", "--quick", "--json", figures]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE) as child:
        try:
            becomes = [sys.executable, "-m", "loadtests.bench", "--quick", "--json", figures]
            wait_until(lambda: Path(f"/proc/{child.pid}/cmdline").read_text().split("\0")[:-1], becomes.__eq__)
        finally:
            child.terminate()  # it takes what it has started with it

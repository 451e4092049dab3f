"""`snowshed` as a user runs it: a process of its own, with an environment that holds nothing of the tester's."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.gateway import ROOT


def environment(**more: str) -> dict[str, str]:
    """The tester's, without settings of ours."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("SNOWSHED_", "NO_COLOR"))}
    return {**ours, "PYTHONPATH": str(ROOT), **more}


def snowshed(*arguments: str, given: bytes = b"", **more: str) -> subprocess.CompletedProcess[str]:
    """Run to its end, which must come by itself; `given` is its standard input, `more` its environment."""
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=ROOT, env=environment(**more), input=given, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    said = subprocess.CompletedProcess(ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    assert "Traceback" not in said.stderr, said.stderr
    return said


def complaint(ended: subprocess.CompletedProcess[str], status: int) -> str:
    """The one sentence on standard error of a command that ended with `status`, and nothing on standard output."""
    assert (ended.returncode, ended.stdout) == (status, ""), ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.rstrip("\n")

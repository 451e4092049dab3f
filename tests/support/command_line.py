"""`snowshed` as a user runs it: a process of its own, with an environment that holds nothing of the tester's."""

from __future__ import annotations

import os
import pty
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


def on_terminal(*arguments: str, **more: str) -> str:
    """What a terminal gets to see of a command that ends with status 0 or 1, in lines as a terminal ends them."""
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "gateway", *arguments]
        ended = subprocess.run(command, cwd=ROOT, env=environment(**more), stdout=theirs, timeout=60, check=False)
        assert ended.returncode in {0, 1}
        return os.read(ours, 65536).decode()  # all of it: a command says less than a terminal holds
    finally:
        os.close(ours)
        os.close(theirs)


def complaint(ended: subprocess.CompletedProcess[str], status: int) -> str:
    """The one sentence on standard error of a command that ended with `status`, and nothing on standard output."""
    assert (ended.returncode, ended.stdout) == (status, ""), ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.rstrip("\n")

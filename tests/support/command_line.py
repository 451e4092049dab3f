"""`snowshed` as a user runs it: a process of its own, with an environment that holds nothing of the tester's."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.support.forking import forks
from tests.support.gateway import ROOT
from tests.support.waiting import PATIENCE

COMMAND = str(Path(__file__).with_name("forked_command.py"))


def environment(**more: str) -> dict[str, str]:
    """The tester's, without settings of ours, or of the size of a terminal that is not the command's."""
    others = "SNOWSHED_", "NO_COLOR", "COLUMNS", "LINES"
    ours = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    return {**ours, "PYTHONPATH": str(ROOT), **more}


def placed(folder: Path) -> Path:
    """A program `snowshed` in its folder `bin`, for shells: each run is a fork."""
    program = folder / "bin" / "snowshed"
    program.parent.mkdir()
    command = shlex.join([sys.executable, "-IS", COMMAND, forks().door])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    return program


def snowshed(*arguments: str, given: bytes = b"", **more: str) -> subprocess.CompletedProcess[str]:
    """Run to its end, which must come by itself; `given` is its standard input, `more` its environment."""
    with TemporaryFile() as asked, TemporaryFile() as out, TemporaryFile() as err:
        asked.write(given)
        asked.seek(0)
        status = forks().run(arguments, environment(**more), [file.fileno() for file in (asked, out, err)])
        said = [_all_of(file) for file in (out, err)]
    return _without_traceback(subprocess.CompletedProcess(arguments, status, *said))


def started(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The same from the very start: an interpreter that has imported nothing yet."""
    command = [sys.executable, "-m", "gateway", *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(**more), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    return _without_traceback(ended)


def on_terminal(*arguments: str, **more: str) -> str:
    """What a terminal gets to see of a command that ends with status 0 or 1, in lines as a terminal ends them."""
    ours, theirs = pty.openpty()
    try:
        with TemporaryFile() as nothing:
            status = forks().run(arguments, environment(**more), [nothing.fileno(), theirs, nothing.fileno()])
    finally:
        os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as screen:
        said = b"".join(iter(lambda: _read(screen), b""))
    assert status in {0, 1}
    return said.decode()


def _read(screen: IO[bytes]) -> bytes:
    """Nothing at the end, which a terminal tells as an error: nobody can write to it any more."""
    try:
        return screen.read(65536)
    except OSError:
        return b""


def complaint(ended: subprocess.CompletedProcess[str], status: int) -> str:
    """The one sentence on standard error of a command that ended with `status`, and nothing on standard output."""
    assert (ended.returncode, ended.stdout) == (status, ""), ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.rstrip("\n")


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _without_traceback(ended: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended

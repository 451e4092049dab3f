"""Nothing happens at import: no socket, file, thread, child process or look at the environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import tree

WATCHER = tree.ROOT / "tests/architecture/import_all.py"


def deeds(folder: Path, *modules: str) -> str:
    """What importing these modules of `folder` does, a line for each deed."""
    watched = subprocess.run(
        [sys.executable, "-B", str(WATCHER), *modules],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert watched.returncode == 0, watched.stderr
    return watched.stdout


def test_importing_any_module_does_nothing() -> None:
    assert deeds(tree.ROOT, *map(tree.module_name, tree.python(*tree.PACKAGES))) == ""


@pytest.mark.parametrize(
    "deed",
    [
        "import os; os.environ.get('HOME')",
        "import socket; socket.socket()",
        "import asyncio; asyncio.new_event_loop()",
        "import pathlib; pathlib.Path('x').write_text('')",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    ],
)
def test_a_deed_is_noticed(deed: str, tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway/__init__.py").write_text(deed)
    assert deeds(tmp_path, "gateway")

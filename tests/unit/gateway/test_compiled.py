"""The switch for machine code: what it says holds, or nothing starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import compiled
from tests.support.command_line import complaint, snowshed

USE = "import sys, pathlib; from gateway import compiled; print(compiled.use(pathlib.Path(sys.argv[1])))"


def used(folder: Path, switch: str) -> str:
    """What has come of it, in a process of its own: the form, or the error's words."""
    ended = subprocess.run(
        [sys.executable, "-c", USE, str(folder)], cwd=compiled.ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, compiled.SWITCH: switch},
    )  # fmt: skip
    return (ended.stdout or ended.stderr).splitlines()[-1]


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    (tmp_path / compiled.MANIFEST).write_text(json.dumps({"fingerprint": "another", "modules": {}}))
    return tmp_path


def test_without_it_or_with_off_what_does_not_fit_is_let_be(stale: Path, tmp_path: Path) -> None:
    assert used(stale, "") == "stale"
    assert used(stale, "off") == "interpreted"
    assert used(tmp_path / "nothing", "") == "interpreted"


def test_with_on_what_does_not_fit_is_refused(stale: Path, tmp_path: Path) -> None:
    told = "ValueError: SNOWSHED_COMPILED: is on, but {}: run make compile, or leave it out."
    assert used(stale, "on") == told.format("it is of other sources")
    assert used(tmp_path / "nothing", "on") == told.format("there is nothing that was compiled")


@pytest.mark.parametrize("switch", ["yes", "1", "ON", "of"])
def test_what_says_neither_starts_nothing(switch: str) -> None:
    said = complaint(snowshed("serve", SNOWSHED_COMPILED=switch), 2)
    assert said == "SNOWSHED_COMPILED: takes on or off."

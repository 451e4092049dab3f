"""The commands of the guide to keys, in its order and with its configuration."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
from pathlib import Path

from tests.support.command_line import environment, placed
from tests.support.gateway import ROOT
from tests.support.waiting import PATIENCE

PAGE = (ROOT / "docs/guides/keys.md").read_text()
CALLS = re.findall(r"^\$ (snowshed .*)$", PAGE, re.MULTILINE)
SOMEBODY = re.compile(r"\b[0-9a-f]{12}\b")
"""The id of a key, as the guide makes it up."""


def shell(folder: Path, line: str) -> str:
    """What it prints, in a folder with the guide's own configuration."""
    variables = environment()
    variables["PATH"] = f"{folder / 'bin'}:{variables['PATH']}"
    command = ["/bin/sh", "-c", line]
    ended = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0, (line, ended.stderr)
    return ended.stdout


def test_each_command_does_what_the_guide_says(tmp_path: Path) -> None:
    found = re.search(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    (tmp_path / "gateway.yaml").write_text(found[1])
    placed(tmp_path)
    key, said = "", {}
    for call in CALLS:
        line = SOMEBODY.sub(key, call)
        said[call] = shell(tmp_path, line)
        if "keys create" in call:
            assert said[call].startswith("sk-snow-")
            key = said[call].split("-")[2]
    assert len(said) == len(CALLS) >= 5
    listed = shell(tmp_path, "snowshed keys list --config gateway.yaml")
    assert re.search(rf"^{key} +acme +revoked ", listed, re.MULTILINE), listed
    assert listed.count("\n") == 3, "the key, and the one that it was rotated to"


def test_a_backup_is_whole_and_can_be_put_back_under_a_running_gateway(tmp_path: Path) -> None:
    found = re.search(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    (tmp_path / "gateway.yaml").write_text(found[1])
    placed(tmp_path)
    make, put_back = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    shell(tmp_path, "snowshed tenants create before --config gateway.yaml")
    with contextlib.closing(sqlite3.connect(tmp_path / "snowshed.db")) as in_use:  # keeps what is new beside the file
        in_use.execute("SELECT count(*) FROM tenants").fetchall()
        shell(tmp_path, "snowshed tenants create then --config gateway.yaml")
        shell(tmp_path, make)
        shell(tmp_path, "snowshed tenants create after --config gateway.yaml")
        shell(tmp_path, put_back)
        listed = shell(tmp_path, "snowshed tenants list --config gateway.yaml")
    assert [line.split()[0] for line in listed.splitlines()[1:]] == ["before", "then"]

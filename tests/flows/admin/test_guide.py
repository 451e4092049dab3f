"""The guide to the admin listener: its shell blocks as they are written, and its table of what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from loadtests.bench.processes import free_ports
from tests.flows.admin.conftest import admin_tree
from tests.flows.admin.routes import ROUTES
from tests.support.command_line import environment, placed
from tests.support.databases import sqlite
from tests.support.gateway import ROOT, running_gateway

PAGE = (ROOT / "docs/guides/admin.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with what the guide's reader has: the command and a configuration, with a port that is free."""
    placed(tmp_path)
    (port,) = free_ports(1)
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(admin_tree(sqlite(tmp_path), port=port)))
    return tmp_path


def test_the_shell_blocks_one_after_the_other(desk: Path) -> None:
    tree = yaml.safe_load((desk / "gateway.yaml").read_text())
    lines = "".join(BLOCKS).replace("8082", str(tree["admin"]["port"]))
    variables = environment(NO_PROXY="127.0.0.1")
    variables["PATH"] = f"{desk / 'bin'}:{variables['PATH']}"
    with running_gateway(tree):
        ended = subprocess.run(
            ["bash", "-e"], input=lines, cwd=desk, env=variables, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    said = ended.stdout
    assert said.index('"role":"admin"') < said.index('"label":"ci"') < said.index('"weight":5') < said.index('"change"')


def test_the_table_has_every_route() -> None:
    rows = re.findall(r"^\| `([A-Z]+)` \| `(/[^`]+)` \|", PAGE, re.MULTILINE)
    assert {(method, f"/v1{path}".replace("{id}", "{key_id}")) for method, path in rows} == {
        (route.method, route.path) for route in ROUTES
    }

"""Tests run commands as forks of one process; whoever is started afresh says and does the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import environment, placed, snowshed, started
from tests.support.gateway import configuration


@pytest.fixture
def file(tmp_path: Path) -> str:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(configuration(auth={"sqlite": str(tmp_path / "keys.db")})))
    return str(file)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("tenants list", 0),
        ("config show", 0),
        ("keys revoke 000000000000", 1),
        ("tenants create a/b", 1),
        ("keys create", 2),
    ],
)
def test_a_fork_says_what_is_said_from_the_start(file: str, call: str, status: int) -> None:
    snowshed("tenants", "create", "acme", "--config", file)
    forked, fresh = (run(*call.split(), "--config", file) for run in (snowshed, started))
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)
    assert forked.returncode == status


def test_in_a_shell_it_runs_where_the_shell_is_and_ends_as_it_would_there(file: str) -> None:
    folder = Path(file).parent
    command = ["sh", "-c", f"{placed(folder)} tenants create acme --config {Path(file).name}"]
    said = [subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=False) for _ in "ab"]
    assert [(one.returncode, b"already" in one.stderr) for one in said] == [(0, False), (1, True)]


def test_what_one_command_is_told_the_next_does_not_know(file: str) -> None:
    told = snowshed("config", "show", "--config", file, SNOWSHED_OPS__PORT="4321")
    untold, fresh = (run("config", "show", "--config", file) for run in (snowshed, started))
    assert yaml.safe_load(told.stdout)["ops"]["port"] == 4321
    assert untold.stdout == fresh.stdout

"""Commands started in odd surroundings: without standard streams, without a home, without a name."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import environment, snowshed
from tests.support.gateway import ROOT, configuration
from tests.support.waiting import PATIENCE

WITHOUT_HOME = """
import os, pathlib, runpy, sys
os.environ.pop("HOME", None)
os.path.expanduser = lambda path: path  # as for a user that the system has never heard of
sys.argv[0] = "snowshed"
runpy.run_module("gateway", run_name="__main__")
"""


WITHOUT_NAME = """
import os, pwd, runpy, sys
for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
def getpwuid(number):
    raise KeyError(number)  # as containers have users that are numbers only
pwd.getpwuid = getpwuid
sys.argv[0] = "snowshed"
runpy.run_module("gateway", run_name="__main__")
"""

CLOSED = """
import os, sys
from gateway.cli.program import main
status = main(["version"])
assert os.open(os.devnull, os.O_RDONLY) > 2, "a standard stream's number is free"
assert None not in (sys.stdin, sys.stdout, sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_not_there_counts_as_one_that_nobody_reads(closed: str) -> None:
    """Its number would go to the next file or connection, into which lines meant for the stream would be written."""
    command = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, CLOSED]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_user_without_a_home_is_told_how_to_do_without() -> None:
    command = [sys.executable, "-c", WITHOUT_HOME, "doctor", "--json"]
    bare = {name: value for name, value in environment().items() if name != "XDG_CACHE_HOME"}
    ended = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stderr) == (
        2, b"There is no home folder to keep a model in: set SNOWSHED_CACHE to a folder.\n",
    )  # fmt: skip
    told = bare | {"SNOWSHED_CACHE": "/nowhere"}
    ended = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode in {0, 1}


def test_a_user_without_a_name_makes_changes_by_number(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(configuration(auth={"sqlite": str(tmp_path / "keys.db")})))
    command = [sys.executable, "-c", WITHOUT_NAME, "tenants", "create", "acme", "--config", str(file)]
    subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, timeout=PATIENCE, check=True)
    (entry,) = json.loads(snowshed("audit", "--json", "--config", str(file)).stdout)
    assert entry["actor"] == f"cli:{os.getuid()}@{socket.gethostname()}"


def test_a_name_that_no_database_takes_is_made_one_that_it_does(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(configuration(auth={"sqlite": str(tmp_path / "keys.db")})))
    named = environment() | {"LOGNAME": os.fsdecode(b"a\xff\x1b[31m")}
    command = [sys.executable, "-m", "gateway", "tenants", "create", "acme", "--config", str(file)]
    subprocess.run(command, cwd=ROOT, env=named, capture_output=True, timeout=PATIENCE, check=True)
    (entry,) = json.loads(snowshed("audit", "--json", "--config", str(file)).stdout)
    assert entry["actor"] == f"cli:a??[31m@{socket.gethostname()}"

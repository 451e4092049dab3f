"""Every shell block of the guides to the command line and to configurations, run as it is written, beside a running gateway."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.cli.program import COMMANDS
from tests.support.command_line import environment
from tests.support.gateway import ROOT, RunningGateway, configuration, running_gateway

PAGE = (ROOT / "docs/guides/cli.md").read_text()
CONFIGURATION = (ROOT / "docs/guides/configuration.md").read_text()
FOUND = re.findall(r"^```sh\n(.*?)^```$", PAGE + CONFIGURATION, re.MULTILINE | re.DOTALL)
BLOCKS = [block for block in FOUND if "make " not in block]  # that is a checkout's, and has tests of its own


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    with running_gateway(configuration(models=[{"name": "chat", "engine": "scripted"}])) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, gateway: RunningGateway) -> Path:
    """A folder with what the guide's reader has: the command, a configuration and a key."""
    command = tmp_path / "bin" / "snowshed"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gateway "$@"\n')
    command.chmod(0o755)
    ports = {"server": {"port": gateway.port}, "ops": {"port": gateway.objects.ops.port}}
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(gateway_file(ports)))
    (tmp_path / "gateway.key").write_text("sk-snow-made-up\n")
    return tmp_path


def gateway_file(ports: dict[str, dict[str, int]]) -> dict[str, object]:
    return {**ports, "models": [{"name": "chat", "engine": "scripted"}]}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0])
def test_a_shell_block_does_what_it_says(block: str, desk: Path, gateway: RunningGateway) -> None:
    variables = environment(SNOWSHED_URL=gateway.url)
    variables["PATH"] = f"{desk / 'bin'}:{variables['PATH']}"
    ended = subprocess.run(
        ["bash", "-e"], input=block, cwd=desk, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_guide_has_every_command() -> None:
    table = re.findall(r"^\| (`.*`) \|", PAGE.partition("## Talk")[0], re.MULTILINE)
    assert list(dict.fromkeys(re.findall(r"`(\w+)", " ".join(table)))) == list(COMMANDS)

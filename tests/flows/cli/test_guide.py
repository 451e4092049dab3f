"""Every shell block of the guides to the command line and to configurations, as it is written, beside a gateway."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.cli.program import COMMANDS
from tests.support.admin import admin_port
from tests.support.command_line import environment, placed
from tests.support.gateway import ROOT, RunningGateway, configuration, running_gateway

PAGE = (ROOT / "docs/guides/cli.md").read_text()
CONFIGURATION = (ROOT / "docs/guides/configuration.md").read_text()
FOUND = re.findall(r"^```sh\n(.*?)^```$", PAGE + CONFIGURATION, re.MULTILINE | re.DOTALL)
BLOCKS = [block for block in FOUND if "make " not in block]  # that is a checkout's, and has tests of its own
CALLS = re.findall(
    r"^\$ (.*)$", PAGE.partition("## Run a gateway from elsewhere")[2].partition("\n## ")[0], re.MULTILINE
)
MODELS = [{"name": "chat", "engine": "scripted"}]


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    with running_gateway(configuration(models=MODELS)) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, gateway: RunningGateway) -> Path:
    """A folder with what the guide's reader has: the command, a configuration and a key."""
    placed(tmp_path)
    ports = {"server": {"port": gateway.port}, "ops": {"port": gateway.objects.ops.port}}
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump({**ports, "models": MODELS}))
    (tmp_path / "gateway.key").write_text("sk-snow-made-up\n")
    return tmp_path


def shell(lines: str, desk: Path, **more: str) -> str:
    """What they print."""
    variables = environment(**more)
    variables["PATH"] = f"{desk / 'bin'}:{variables['PATH']}"
    ended = subprocess.run(
        ["bash", "-e"], input=lines, cwd=desk, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0])
def test_a_shell_block_does_what_it_says(block: str, desk: Path, gateway: RunningGateway) -> None:
    shell(block, desk, SNOWSHED_URL=gateway.url)


def test_a_gateway_is_run_from_elsewhere_as_the_guide_says(desk: Path) -> None:
    auth = {"kind": "keys", "sqlite": str(desk / "keys.db")}
    (desk / "gateway.yaml").write_text(yaml.safe_dump({"auth": auth, "models": MODELS}))
    at = next(at for at, call in enumerate(CALLS) if call.startswith("export "))
    beside, elsewhere = CALLS[:at], CALLS[at:]
    shell("\n".join(beside), desk)
    with running_gateway(configuration(models=MODELS, auth=auth, admin={"port": 0})) as gateway:
        said = shell("\n".join(elsewhere).replace(":8082", f":{admin_port(gateway)}"), desk)
    assert "sk-snow-" in said
    assert "chat-0" in said, "a replica"
    assert "acme" in said.rpartition("\nID ")[2], "who was changed"


def test_the_guide_has_every_command() -> None:
    table = re.findall(r"^\| (`.*`) \|", PAGE.partition("## Talk")[0], re.MULTILINE)
    assert list(dict.fromkeys(re.findall(r"`(\w+)", " ".join(table)))) == list(COMMANDS)

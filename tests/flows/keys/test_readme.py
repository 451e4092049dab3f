"""The README's next five minutes, every command as it is written there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from loadtests.bench.processes import free_ports
from tests.support import plain
from tests.support.gateway import ROOT, metric
from tests.support.knocking import ask, code
from tests.support.waiting import wait_until

SERVE = 'make serve ARGS="--config keys.yaml"\n'


class Reader:
    """Somebody who follows the README in a folder of their own, on ports that are free."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._ops = free_ports(2)
        self.url, self.ops_url = f"http://127.0.0.1:{self._port}", f"http://127.0.0.1:{self._ops}"
        self._program = folder / ".venv" / "bin" / "snowshed"
        self._program.parent.mkdir(parents=True)
        self._program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m gateway "$@"\n')
        self._program.chmod(0o755)
        self._environment = {
            "PATH": "/usr/bin:/bin", "SNOWSHED_SERVER__PORT": str(self._port), "SNOWSHED_OPS__PORT": str(self._ops),
            "SNOWSHED_URL": self.url,
        }  # fmt: skip

    def shell(self, lines: str) -> str:
        """What it prints. The small model has tests of its own; this is about the commands."""
        others = {"8080": str(self._port), "8081": str(self._ops), "engine: embedded": "engine: scripted"}
        lines = re.sub("|".join(others), lambda found: others[found[0]], lines)
        done = subprocess.run(
            ["/bin/sh", "-e"], input=lines, cwd=self._folder, env=self._environment, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[None]:
        """What `SERVE` does behind setting up."""
        command: list[str | Path] = [self._program, "serve", "--config", "keys.yaml"]
        with (self._folder / "gateway.txt").open("wb") as out:
            gateway = subprocess.Popen(command, cwd=self._folder, env=self._environment, stdout=out, stderr=out)
        try:
            wait_until(self._up)
            yield
        finally:
            gateway.kill()
            gateway.wait()

    def _up(self) -> bool:
        try:
            return code(ask(self.url, None)) == (401, "invalid_api_key")
        except httpx2.TransportError:
            return False


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def test_the_next_five_minutes(reader: Reader) -> None:
    section = (ROOT / "README.md").read_text().partition("## The next five minutes")[2].partition("\n## ")[0]
    first, second = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert first.endswith(SERVE)
    reader.shell(first.removesuffix(SERVE))
    with reader.serving():
        said = reader.shell(second + 'echo "$SNOWSHED_API_KEY"\n')
        assert "smollm2-135m-instruct" in said
        assert 'code="none"' in said
        key = said.splitlines()[-1]
        wait_until(lambda: code(ask(reader.url, key, "smollm2-135m-instruct")) == (401, "invalid_api_key"))
        wait_until(
            lambda: metric(
                plain.get(f"{reader.ops_url}/metrics").text,
                "snowshed_requests_total",
                code="invalid_api_key",
            )
        )

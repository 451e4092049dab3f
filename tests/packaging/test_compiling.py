"""The hot path as machine code: made in a copy of the sources, served from the image's tree, and let be when stale."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from loadtests.bench.processes import free_ports
from tests.architecture import tree
from tests.support import plain
from tests.support.fleet import spawn_fleet
from tests.support.waiting import PATIENCE, wait_until

CAN = any(map(shutil.which, ("cc", "gcc", "clang"))) and Path(sysconfig.get_path("include"), "Python.h").exists()
pytestmark = pytest.mark.skipif(not CAN, reason="takes a C compiler and Python's headers (on Debian: gcc, python3-dev)")
SUITES = sorted({path.parts[2] for path in tree.files() if path.match("tests/contract/*/*.py")})
ASKED = {"model": "mock", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, compiled."""
    place = tmp_path_factory.mktemp("sources")
    for file in tree.files():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.ROOT / file, place / file)
    for fetched in (".cache", ".triton"):
        (place / fetched).symlink_to(tree.ROOT / fetched)
    done = subprocess.run(
        [sys.executable, "scripts/compile.py"], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert not list(place.glob(".compiled.*"))
    return place


@dataclass
class Served:
    """A gateway that has ended, or not yet: `form` is what it says that it runs."""

    url: str
    log: Path

    @property
    def form(self) -> str:
        return str(self.events[0]["form"])

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextlib.contextmanager
def served(root: Path, folder: Path, upstream: str, **environment: str) -> Iterator[Served]:
    """`python -m gateway serve` of the sources at `root`."""
    port, ops_port = free_ports(2)
    settings = {"server": {"port": port, "drain_delay": 0}, "ops": {"port": ops_port}}
    model = {"name": "mock", "engine": "openai", "replicas": [{"url": upstream}]}
    file, log = folder / "snowshed.yaml", folder / "log.jsonl"
    file.write_text(yaml.safe_dump({**settings, "models": [model]}))
    command = [sys.executable, "-P", "-m", "gateway", "serve", "--config", str(file), "--log-format", "json"]
    with (
        log.open("wb") as said,
        subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": str(root), **environment}, stdout=said, stderr=said
        ) as serving,
    ):
        try:
            wait_until(lambda: serving.poll() is not None or is_ready(ops_port))
            yield Served(f"http://127.0.0.1:{port}", log)
            serving.terminate()
            assert serving.wait(PATIENCE) == 0
        finally:
            serving.kill()


def is_ready(port: int) -> bool:
    with contextlib.suppress(httpx2.TransportError):
        return plain.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    return False


def test_the_image_serves_machine_code(sources: Path, tmp_path: Path) -> None:
    """What `scripts/image-tree` lays out is found to be of the same sources, and answers, streams and refuses."""
    place = tmp_path / "image"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    subprocess.run([sources / "scripts/image-tree", "ours", place], check=True)
    packages = next(place.glob("lib/python*/site-packages"))
    with spawn_fleet(1, "tokens=12") as fleet, served(packages, tmp_path, fleet.urls[0]) as gateway:
        address = f"{gateway.url}/v1/chat/completions"
        whole = plain.post(address, json=ASKED)
        streamed = plain.post(address, json={**ASKED, "stream": True})
        refused = plain.post(address, json={**ASKED, "max_tokens": "many"})
        fleet.replicas[0].set(fault="status", status=500)
        broken = plain.post(address, json=ASKED)
    assert gateway.form == "compiled"
    logged = [line for line in gateway.events if line["event"] == "request"]
    assert [(line["status"], line["class"]) for line in logged] == [(code, "standard") for code in (200, 200, 400, 502)]
    assert (whole.status_code, whole.json()["usage"]["completion_tokens"]) == (200, 12)
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "max_tokens")
    assert (broken.status_code, broken.json()["error"]["code"]) == (502, "upstream_error")


@pytest.mark.parametrize(
    "suite", sorted(path.name for path in (tree.ROOT / "tests/contract").iterdir() if path.is_dir())
)
def test_machine_code_keeps_the_contracts_too(sources: Path, suite: str) -> None:
    """By the same suites that the sources are held to."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.machine_code", f"tests/contract/{suite}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=sources, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_what_is_compiled_is_used_only_for_the_sources_that_it_was_made_of(sources: Path, tmp_path: Path) -> None:
    changed = sources / "engines/units.py"
    text = changed.read_text()
    with spawn_fleet(1, "tokens=12") as fleet:
        with served(sources, tmp_path, fleet.urls[0], SNOWSHED_COMPILED="off") as gateway:
            pass
        assert gateway.form == "interpreted"
        try:
            changed.write_text(f"{text}\n# changed\n")
            with served(sources, tmp_path, fleet.urls[0]) as gateway:
                assert plain.post(f"{gateway.url}/v1/chat/completions", json=ASKED).status_code == 200
        finally:
            changed.write_text(text)
        assert gateway.form == "stale"


def test_where_it_has_to_be_used_it_is(sources: Path) -> None:
    def told(switch: str, folder: Path) -> list[str]:
        script = "import sys, pathlib; from gateway import compiled; print(compiled.use(pathlib.Path(sys.argv[1])))"
        ended = subprocess.run(
            [sys.executable, "-c", script, str(folder)], cwd=sources, capture_output=True, text=True, check=False,
            env={**os.environ, "SNOWSHED_COMPILED": switch},
        )  # fmt: skip
        return (ended.stdout or ended.stderr).splitlines()

    assert told("on", sources / ".compiled") == ["compiled"]
    assert told("off", sources / ".compiled") == ["interpreted"]


def test_it_is_all_of_it_or_nothing(sources: Path) -> None:
    """Classes of both kinds do not go together: what came from a source before is not joined by what was compiled."""

    def told(first: str) -> list[str]:
        script = f"{first}; from gateway import compiled; form = compiled.use(); import gateway.pipeline as it; "
        command = [sys.executable, "-c", f"{script} print(form, it.__file__)"]
        return subprocess.run(command, cwd=sources, capture_output=True, text=True, check=True).stdout.split()

    form, file = told("import router.pool")
    assert (form, Path(file).name) == ("interpreted", "pipeline.py")
    form, file = told("import gateway.version")
    assert (form, Path(file).parent) == ("compiled", sources / ".compiled/gateway")

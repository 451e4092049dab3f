"""The locks hold all that is declared and name no host; what is imported is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.architecture import tree

SERVE, DEV = Path("requirements/serve.txt"), Path("requirements/dev.txt")
ENTRY = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: --hash=sha256:[0-9a-f]{64})+")
PARTS_OF_DECLARED = {
    "starlette": "fastapi",
    "pydantic_core": "pydantic",
    "h11": "uvicorn",
    "limits": "slowapi",
    "grpc": "tritonclient",
    "google": "tritonclient",
    "numpy": "tritonclient",
}


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(tree.text(Path("pyproject.toml")))["project"]
    return table


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name)[0]).lower()


def locked(path: Path) -> dict[str, str]:
    """Name and version of each entry; every line must belong to one that has hashes."""
    joined = tree.text(path).replace("\\\n", " ").splitlines()
    entries = [" ".join(line.split()) for line in joined if line.strip() and not line.lstrip().startswith("#")]
    matches = [ENTRY.fullmatch(entry) for entry in entries]
    assert all(matches), [entry for entry, match in zip(entries, matches, strict=True) if not match]
    return {match["name"]: match["version"] for match in matches if match}


def declared(*extras: str) -> set[str]:
    optional = project()["optional-dependencies"]
    return {
        normal(name) for name in [*project()["dependencies"], *(name for extra in extras for name in optional[extra])]
    }


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree.syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", [SERVE, DEV], ids=str)
def test_a_lock_names_no_place(path: Path) -> None:
    assert "://" not in tree.text(path)
    assert not re.search(r"(?m)^\s*-(?!-hash=)|@ ", tree.text(path)), "an option or an address"


def test_locks_hold_what_is_declared() -> None:
    serve, dev = locked(SERVE), locked(DEV)
    assert declared("embedded") <= serve.keys()
    assert declared("embedded", "dev") <= dev.keys()
    assert serve.items() <= dev.items(), "an environment for development serves as well"


def test_pins_of_the_project_are_those_of_the_lock() -> None:
    pins = dict(re.findall(r'"([a-z0-9-]+)==([^"]+)"', tree.text(Path("pyproject.toml"))))
    assert pins.items() <= locked(SERVE).items()


def test_everything_imported_is_declared() -> None:
    ours = {*tree.PACKAGES, *sys.stdlib_module_names, *PARTS_OF_DECLARED}
    homes = metadata.packages_distributions()
    known = declared(*project()["optional-dependencies"])
    found = {(str(path), name) for path in tree.python(*tree.PACKAGES) for name in imported(path) if name not in ours}
    assert not {(path, name) for path, name in found if not known & {normal(home) for home in homes.get(name, [name])}}

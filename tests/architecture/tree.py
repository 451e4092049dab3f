"""The files of this repository, as the architecture tests see them."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("gateway", "engines", "router", "security")
PACKAGES = (*PRODUCT, "loadtests")
LEFT_OUT = {"build", "dist", "__pycache__"}


@cache
def files() -> tuple[Path, ...]:
    """Every file that git tracks or would track, relative to the root; in a plain copy, every file but hidden ones."""
    listed = _listed_by_git() or tuple(_walked())
    return tuple(sorted(path for path in listed if (ROOT / path).is_file()))


def _listed_by_git() -> tuple[Path, ...]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(Path(name) for name in listed.split("\0") if name)


def _walked() -> Iterator[Path]:
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name not in LEFT_OUT and not name.startswith(".")]
        yield from (Path(folder, name).relative_to(ROOT) for name in names)


def python(*packages: str) -> list[Path]:
    """The Python files below these top-level folders, or all there are."""
    return [path for path in files() if path.suffix == ".py" and (not packages or path.parts[0] in packages)]


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(text(path), str(path))

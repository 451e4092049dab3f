"""The hot path as machine code: what `make compile` has made of the same sources, used in their place.

The folder names the sources that it was made of. Where one of them has changed since, or the Python is another one,
nothing of it is used: what runs is what stands in the files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from hashlib import blake2b
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Final, Literal, TypeAlias

Form: TypeAlias = Literal["interpreted", "compiled", "stale"]
"""interpreted: nothing was compiled, or it is switched off; stale: what was compiled is of other sources."""

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".compiled"
MANIFEST: Final = "manifest.json"
"""In the folder: `fingerprint`, and `modules`, the file of each by its name."""
ROOMS: Final = ("engines", "gateway", "router", "security")
SWITCH: Final = "SNOWSHED_COMPILED"
"""An environment variable: "off" runs the sources, "on" what was compiled or nothing; without it, what fits is used."""


class _Finder(MetaPathFinder):
    """Finds the modules that were compiled, before their sources are found."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def __repr__(self) -> str:
        return f"<_Finder of {len(self._files)} modules>"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)


def use(folder: Path = FOLDER) -> Form:
    """Import from `folder` from now on what was compiled there; nothing if any of it has been imported from elsewhere.

    To be called before the hot path is imported. `form` tells afterwards what has come of it. Raises ValueError, fit
    for people, for a switch that says something else, and for one that is on where nothing fits.
    """
    switch = os.environ.get(SWITCH, "")
    if switch not in ("", "on", "off"):
        raise ValueError(f"{SWITCH}: takes on or off.")
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        _Now.form = "interpreted" if switch == "off" else _find(folder)
    if switch == "on" and _Now.form != "compiled":
        why = "it is of other sources" if _Now.form == "stale" else "there is nothing that was compiled"
        raise ValueError(f"{SWITCH}: is on, but {why}: run make compile, or leave it out.")
    return _Now.form


def form() -> Form:
    """What runs in this process."""
    return _Now.form


def _find(folder: Path) -> Form:
    if not (folder / MANIFEST).exists():
        return "interpreted"
    manifest = json.loads((folder / MANIFEST).read_bytes())
    if manifest["fingerprint"] != fingerprint():
        return "stale"
    files = {name: folder / file for name, file in manifest["modules"].items()}
    if not files.keys().isdisjoint(sys.modules):
        return "interpreted"
    sys.meta_path.insert(0, _Finder(files))
    return "compiled"


def fingerprint(root: Path = ROOT) -> str:
    """Of all sources and of the interpreter's build: compiled code has constants of both in it."""
    digest = blake2b(f"{sys.version} {EXTENSION_SUFFIXES[0]}".encode(), digest_size=16)
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            digest.update(f"{file.relative_to(root)} {file.stat().st_size} ".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


class _Now:
    form: ClassVar[Form] = "interpreted"

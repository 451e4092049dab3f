"""What is committed runs anywhere: it names no machine's folders and no package index."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture import tree

# Written in pieces, so that this file does not find itself.
FOLDERS = r"(?<![\w.~-])/(?:ro" r"ot|wo" r"rk|ho" r"me|Us" r"ers)/[\w.]"
HOSTS = r"pypi\." r"org|python" r"hosted\.org|npm" r"js\.(?:org|com)|deb\.deb" r"ian\.org"
FOREIGN = re.compile(f"{FOLDERS}|{HOSTS}")


def lines(path: Path) -> list[str]:
    try:
        return tree.text(path).splitlines()
    except UnicodeDecodeError:  # a picture
        return []


def test_no_file_names_a_machine_or_an_index() -> None:
    found = [
        f"{path}:{at}: {line}"
        for path in tree.files()
        for at, line in enumerate(lines(path), 1)
        if FOREIGN.search(line)
    ]
    assert not found

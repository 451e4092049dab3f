"""Tables in guides that are written from those in tests/golden: what stands between a guide's two markers."""

from __future__ import annotations

import re
from pathlib import Path

_MARKERS = re.compile(r"(<!-- table of parameters -->\n).*?(<!-- end of table -->)", re.DOTALL)


def in_the_guide(guide: Path) -> str:
    """What stands there."""
    found = _MARKERS.search(guide.read_text())
    return "" if found is None else found[0].partition("\n")[2].rpartition("<!--")[0]


def write_guide(guide: Path, rendered: str) -> None:
    """Puts it there."""
    guide.write_text(_MARKERS.sub(lambda found: found[1] + rendered + found[2], guide.read_text()))

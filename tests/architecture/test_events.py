"""What the gateway says of itself are events of fixed names, which the guide explains; what varies is a field."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.architecture.tree import ROOT

ROOMS = ("gateway", "engines", "router", "security")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def _said(path: Path) -> list[ast.expr]:
    """First arguments of all calls of a module's logger."""
    return [
        node.args[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "_logger"
        and node.func.attr in LEVELS
    ]


def test_every_event_has_a_fixed_name_and_is_explained() -> None:
    events: set[str] = set()
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for name in _said(path):
            assert isinstance(name, ast.Constant), f"{path}:{name.lineno}: what varies belongs into `extra`"
            events.add(str(name.value))
    page = (ROOT / "docs/guides/observability.md").read_text().partition("### Events\n")[2]
    explained = {
        name for row in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE) for name in re.findall("`(.+?)`", row)
    }
    assert events
    assert events == explained

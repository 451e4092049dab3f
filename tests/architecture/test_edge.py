"""Status codes are chosen in one file, and nothing stands between the server and a stream."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from tests.architecture import tree

CHOOSE = {
    Path("gateway/errors.py"): "the table of what an API client may see",
    Path("gateway/ops.py"): "its few answers are for probes, and are no part of the API",
    Path("gateway/ops_http.py"): "the same listener",
}
STATUS_LINE = re.compile(r"""(?:b['"])?HTTP/1\.[01] [45]\d\d""")


def is_error_status(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value in range(400, 600)


def is_status(node: ast.AST) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return "status" in name.lower()


def chooses(node: ast.AST) -> bool:
    """Whether this piece of code picks an error status by itself, be it to answer with one or to look for one."""
    match node:
        case ast.keyword(arg=str(name), value=value):
            return "status" in name and is_error_status(value)
        case ast.Assign(targets=targets, value=value):
            return any(map(is_status, targets)) and is_error_status(value)
        case ast.Compare(left=left, comparators=others):
            return any(map(is_status, [left, *others])) and any(map(is_error_status, [left, *others]))
    return quotes(node)


def quotes(node: ast.AST) -> bool:
    """Whether it names one in words, or as the first line of an answer."""
    match node:
        case ast.Constant(value=str() | bytes() as value):
            return STATUS_LINE.match(str(value)) is not None
        case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=name):
            return name in HTTPStatus.__members__ and HTTPStatus[name] >= HTTPStatus.BAD_REQUEST
        case ast.Call(func=ast.Name(id="HTTPException")):
            return True
    return False


def choices(path: Path) -> Iterator[str]:
    return (
        f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)}"
        for node in ast.walk(tree.syntax(path))
        if chooses(node)
    )


def test_a_choice_is_recognised() -> None:
    chosen = ast.parse("answer(status=429)\nstatus = 500\nrecord.status == 404\nhead = b'HTTP/1.1 400 Bad Request'")
    assert sum(map(chooses, ast.walk(chosen))) == 4
    assert chooses(ast.parse("HTTPStatus.NOT_FOUND", mode="eval").body)
    assert not any(map(chooses, ast.walk(ast.parse("size = 512\nstatus = 200\nwait(ms=500)\nHTTPStatus.OK"))))


def test_only_the_error_table_chooses_an_error_status() -> None:
    """Engines are left out: they read the statuses of their servers, and tell ours by kinds of errors."""
    found = {path: list(choices(path)) for path in tree.python("gateway", "router", "security") if path not in CHOOSE}
    assert not {str(path): chosen for path, chosen in found.items() if chosen}


def test_no_middleware_rewraps_a_stream() -> None:
    """Starlette's decorator runs the app in a child task and pipes each chunk through a queue."""
    name = "BaseHTTP" + "Middleware"
    assert not [str(path) for path in tree.python() if name in tree.text(path)]


def test_the_header_that_every_answer_carries_is_written_in_one_place() -> None:
    """Three write heads: the pipeline's answers, those of FastAPI, and the front door's own refusals."""
    header = 'b"' + "x-request-id: "
    assert [str(path) for path in tree.python("gateway") if header in tree.text(path)] == ["gateway/edge.py"]

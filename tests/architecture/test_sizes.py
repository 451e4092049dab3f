"""Files and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture import tree

FILE_AIM, FILE_END, FUNCTION_END = 250, 400, 40

LONG_FUNCTIONS: dict[str, str] = {}
"""`path::function` of each longer one, with the reason why it reads better whole."""


def functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    """Each function below `node`, with its lines but those of its docstring; nested ones count for the outer too."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from functions(child, prefix)
            continue
        name = f"{prefix}{child.name}"
        if not isinstance(child, ast.ClassDef):
            yield name, lines(child) - docstring_lines(child)
        yield from functions(child, f"{name}.")


def lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return lines(function.body[0]) if ast.get_docstring(function, clean=False) is not None else 0


def test_nine_files_in_ten_are_short_and_none_is_long() -> None:
    sizes = {str(path): len(tree.text(path).splitlines()) for path in tree.python()}
    assert not {path: size for path, size in sizes.items() if size > FILE_END}
    longer = {path: size for path, size in sizes.items() if size > FILE_AIM}
    assert len(longer) <= len(sizes) / 10, longer


def test_functions_are_short() -> None:
    sizes = {
        name: size
        for path in tree.python()
        for name, size in functions(tree.syntax(path), f"{path}::")
        if size > FUNCTION_END
    }
    assert sizes.keys() - LONG_FUNCTIONS.keys() == set(), sizes
    assert LONG_FUNCTIONS.keys() - sizes.keys() == set(), "these are short again: take them off the list"

"""Names say what a thing is: none of the words that fit anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture import tree

EMPTY_WORDS = {
    "manager",
    "helper",
    "helpers",
    "handler",
    "handlers",
    "processor",
    "util",
    "utils",
    "common",
    "misc",
    "v2",
}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]*|[0-9]+")


def names(path: Path) -> Iterator[str]:
    """What this file calls its own: itself, its folders, its classes, functions and module-level variables."""
    yield from path.with_suffix("").parts
    for node in ast.walk(tree.syntax(path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
    for statement in tree.syntax(path).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def words(name: str) -> set[str]:
    return {word.lower() for word in WORD.findall(name)}


def test_words_are_found_in_every_spelling() -> None:
    assert words("HTTPRequestHandler_v2") == {"http", "request", "handler", "v2"}
    assert words("COMMON_MISC") == {"common", "misc"}


def test_no_name_holds_a_word_that_says_nothing() -> None:
    found = {f"{path}: {name}" for path in tree.python() for name in names(path) if words(name) & EMPTY_WORDS}
    assert not found

"""What `scripts/compile.py` compiles does as its sources do: no line of it would differ as machine code."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.architecture import tree


def compiled() -> list[Path]:
    for statement in tree.syntax(Path("scripts/compile.py")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "MODULES":
            return [Path(name) for name in ast.literal_eval(statement.value)]
    raise AssertionError("scripts/compile.py has no MODULES")


def derived(paths: Iterable[Path], bases: set[str]) -> Iterator[str]:
    """The classes in `paths` that have one of `bases`, each of which is "module.Class"."""
    for path in paths:
        nodes = list(ast.walk(tree.syntax(path)))
        origins = {
            name.asname or name.name: f"{node.module}.{name.name}"
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        for node in nodes:
            if isinstance(node, ast.ClassDef) and bases & {
                origins.get(ast.unparse(base).partition("[")[0], "") for base in node.bases
            }:
                yield f"{path}: {node.name}"


def classes(path: Path) -> set[str]:
    return {node.name for node in ast.walk(tree.syntax(path)) if isinstance(node, ast.ClassDef)}


def decoded(path: Path) -> Iterator[str]:
    """The names that msgspec is told to read as in `path`: arguments of `Decoder`, `decode` and `convert`."""
    for call in ast.walk(tree.syntax(path)):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("Decoder", "decode", "convert")):
            for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                yield from (part.id for part in ast.walk(argument) if isinstance(part, ast.Name))


def held_awaits(path: Path) -> Iterator[str]:
    """Each `await` in `path` that stands in an `except` or `finally`."""
    for node in ast.walk(tree.syntax(path)):
        if isinstance(node, ast.Try):
            for statement in [*(line for handler in node.handlers for line in handler.body), *node.finalbody]:
                yield from (f"{path}:{part.lineno}" for part in ast.walk(statement) if isinstance(part, ast.Await))


def test_no_class_of_a_source_derives_from_a_compiled_one() -> None:
    """It could be imported, but not made: "interpreted classes cannot inherit from compiled"."""
    paths = compiled()
    bases = {f"{tree.module_name(path)}.{name}" for path in paths for name in classes(path)}
    others = [path for path in tree.python(*tree.PRODUCT) if path not in paths]
    assert list(derived(others, bases)) == []


def test_nothing_is_read_as_a_compiled_class() -> None:
    """What its members are is lost when it is compiled: a list of structs would be read as one of dicts."""
    assert {str(path): read for path in compiled() if (read := classes(path).intersection(decoded(path)))} == {}


def test_nothing_compiled_is_told_how_it_is_made() -> None:
    """Words beside a class's bases are lost when it is compiled; but for `gc`, which is a hint, they mean something."""
    told = {
        f"{path}: {node.name} {keyword.arg}"
        for path in compiled()
        for node in ast.walk(tree.syntax(path))
        if isinstance(node, ast.ClassDef)
        for keyword in node.keywords
        if keyword.arg != "gc"
    }
    assert told == set()


def test_nothing_compiled_waits_while_it_handles_an_error() -> None:
    """The error would be taken for the event loop's meanwhile, and for good where two wait in turn.

    Every error after that would be told with it as its context, and keep it in memory.
    """
    assert [place for path in compiled() for place in held_awaits(path)] == []

"""YAML in which nothing is dropped in silence, and nothing grows beyond what was written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

MOST_VALUES = 100_000
"""Counted as often as aliases repeat them: nine lines of ten aliases each would stand for a thousand million."""
DEEPEST = 64

_NO_SUCH_VALUE = "holds a value that can't be"
_ODD = (ValueError, LookupError, AttributeError, TypeError, OverflowError)
"""What PyYAML raises, besides its own errors, for 2026-02-30, a number of a million digits, `!!bool x`, `!!float x`."""


class UnreadableError(Exception):
    """Why a text is no such YAML: a line per mistake, with its place but without the text, which may hold a secret."""


def parse(text: str, source: str) -> Any:
    """Plain values. Raises UnreadableError; `source` is what its lines begin with."""
    try:
        loader = _Loader(text)
        tree = loader.get_single_data()
    except yaml.YAMLError as error:
        raise UnreadableError(_line(source, getattr(error, "problem_mark", None), _problem(error))) from None
    except _ODD:  # already of a character or a directive
        raise UnreadableError(_line(source, None, _NO_SUCH_VALUE)) from None
    if loader.twice:
        twice = sorted(loader.twice, key=lambda name: name.start_mark.index)
        raise UnreadableError("\n".join(_line(source, it.start_mark, f"{it.value} is given twice") for it in twice))
    return tree


def _problem(error: yaml.YAMLError) -> str:
    """Without what it quotes: an unquoted password that begins with * or ! is an alias or a tag to YAML."""
    return re.sub(r" '[^']{2,}'", "", getattr(error, "problem", None) or "odd characters")


def _line(source: str, mark: yaml.Mark | None, problem: str) -> str:
    where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
    return f"{where}: not readable as YAML: {problem}"


class _Loader(yaml.SafeLoader):
    """Remembers settings that are given twice, of which YAML's own reading would drop the first in silence."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[yaml.ScalarNode] = []
        self._values = 0
        self._open: list[str | None] = []
        self._sizes: dict[str | None, int] = {}

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self._open:
                raise _refusal(event, "an alias that holds itself")
            self._values += self._sizes.get(event.anchor, 0)
        self._values += 1
        if self._values > MOST_VALUES:
            raise _refusal(event, "too many values")
        if len(self._open) > DEEPEST:
            raise _refusal(event, "nested too deeply")
        return super().compose_node(parent, index)

    def compose_sequence_node(self, anchor: Any) -> yaml.SequenceNode:
        with self._inside(anchor):
            return super().compose_sequence_node(anchor)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        with self._inside(anchor):
            node = super().compose_mapping_node(anchor)
        names: set[str] = set()
        for name in (name for name, _ in node.value if isinstance(name, yaml.ScalarNode)):
            if name.value in names:
                self.twice.append(name)
            names.add(name.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  # PyYAML's own
        try:
            return super().construct_object(node, deep)
        except _ODD:
            raise _refusal(node, _NO_SUCH_VALUE) from None

    @contextmanager
    def _inside(self, anchor: str | None) -> Iterator[None]:
        before = self._values
        self._open.append(anchor)
        yield
        self._open.pop()
        self._sizes[anchor] = self._values - before


def _refusal(what: Any, problem: str) -> yaml.YAMLError:
    return yaml.composer.ComposerError(None, None, problem, what.start_mark)

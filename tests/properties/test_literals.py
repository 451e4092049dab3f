"""The scanners of JSON and of Python's literals, against those of the standard library."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from engines.text.tools.json_scan import JsonScan
from engines.text.tools.python_scan import PythonScan
from tests.properties.chunking import cut, places
from tests.properties.tool_calls import VALUES
from tests.support.examples import thorough

JSON_SHARDS = [
    "{", "}", "[", "]", ",", ":", '"', '"a"', "\\", "\\u12", "aF", "0", "1", "-", ".", "e", "+", "true", "nul", "l",
    " ", "\x01",
]  # fmt: skip
PYTHON_SHARDS = [*JSON_SHARDS, "'", "True", "None", "_", "0x", "\\x4", "\\101", "\\n", "\\\n", "inf", "1.5", "1e999"]


def refuse(constant: str) -> None:
    raise ValueError(constant)


def is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


@thorough(300)
@given(st.lists(st.sampled_from(JSON_SHARDS)).map("".join) | VALUES.map(json.dumps), places)
@example("-0.5e+10", range(9))
def test_a_json_value_ends_where_it_does(text: str, where: Sequence[int]) -> None:
    machine = JsonScan()
    text = f"[{text}]"
    ends = [machine.scan(piece, 0) == len(piece) for piece in cut(text, where)]
    assert (machine.done and all(ends)) == is_json(text)


@given(st.lists(st.sampled_from(JSON_SHARDS)).map("".join), places)
def test_it_ends_or_breaks_at_the_same_character_however_cut(text: str, where: Sequence[int]) -> None:
    whole, parted = JsonScan(), JsonScan()
    read = sum(parted.scan(piece, 0) for piece in cut(text, where))
    assert (whole.scan(text, 0), whole.done, whole.broken) == (read, parted.done, parted.broken)


def translate(pieces: list[str]) -> tuple[PythonScan, str, int]:
    machine, out = PythonScan(), list[str]()
    read = sum(machine.scan(piece, 0, out) for piece in pieces)
    return machine, "".join(out), read


@thorough(300)
@given(VALUES, places)
def test_python_literals_become_json(value: Any, where: Sequence[int]) -> None:
    machine, text, _ = translate(cut(f"{value!r})", where))
    assert machine.done
    assert json.loads(text) == value


@thorough(300)
@given(st.lists(st.sampled_from(PYTHON_SHARDS)).map("".join), places)
@example(" ", range(3))
@example("01", range(3))
def test_what_is_translated_is_json_and_means_what_python_reads(text: str, where: Sequence[int]) -> None:
    text = f"[{text}]"
    machine, translated, read = translate(cut(text, where))
    whole, same, end = translate([text])
    assert (machine.done, machine.broken, machine.unsaid, translated, read) == (
        whole.done, whole.broken, whole.unsaid, same, end,
    )  # fmt: skip
    if machine.done and not {"\n", "\x01"} & set(text):  # Python's strings end with the line
        meant = json.loads(translated)
        try:
            literal = ast.literal_eval(text[:end])
        except (SyntaxError, ValueError):
            raise AssertionError(text) from None
        assert meant == json.loads(json.dumps(literal))

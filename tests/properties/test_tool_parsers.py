"""Every parser of tool calls: blind to the chunking, silent on nonsense, losing nothing, linear."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.text.tools import TOOL_PARSERS, Said
from tests.properties import tool_calls
from tests.properties.chunking import cut, places
from tests.properties.tool_calls import CALLS, WRITERS, answers, calls_in, parts, said
from tests.support.examples import thorough

every_parser = pytest.mark.parametrize("name", sorted(TOOL_PARSERS))


@thorough(300)
@given(text=answers(), where=places)
def test_the_chunking_changes_nothing(text: str, where: Sequence[int]) -> None:
    for name in TOOL_PARSERS:
        assert parts(name, cut(text, where)) == parts(name, [text]), name


@thorough(300)
@given(text=answers())
def test_nothing_is_lost(text: str) -> None:
    for name in TOOL_PARSERS:
        found = parts(name, [text])
        calls = calls_in(found)
        if not calls:
            assert said(found) == text, name
        rest = iter(text)
        assert all(char in rest for char in said(found)), f"{name}: what is said was written, in its order"
        assert name == "pythonic" or all(arguments in text for _, arguments in calls), f"{name}: verbatim"


@every_parser
@given(data=st.data(), calls=CALLS, where=places)
def test_right_calls_are_found_whole(
    name: str, data: st.DataObject, calls: list[tool_calls.Call], where: Sequence[int]
) -> None:
    text = data.draw(WRITERS[name](calls))
    found = parts(name, cut(text, where))
    assert [(called, json.loads(arguments)) for called, arguments in calls_in(found)] == calls
    assert said(found) == ""


@pytest.mark.parametrize("name", ["hermes", "mistral"])
@given(data=st.data(), calls=CALLS, where=places, before=st.text().map("I call:".__add__), after=st.text())
def test_text_around_them_is_said(
    name: str, data: st.DataObject, calls: list[tool_calls.Call], where: Sequence[int], before: str, after: str
) -> None:
    text = data.draw(WRITERS[name](calls))
    found = parts(name, cut(before + text + after, where))
    assert len(calls_in(found)) == len(calls)
    assert found[0] == Said(before)
    assert said(found[1:]).strip() == after.strip()


def work(run: Callable[[], Any]) -> int:
    """Lines of ours that run, which no machine's speed changes."""
    lines = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace if "engines" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return lines


LONG: dict[str, Callable[[int], str]] = {
    "text": lambda n: "a <b [c " * n,
    "space": lambda n: " \n" * n,
    "half markers": lambda n: "<tool_cal[TOOL_CALL<|python_ta" * n,
    "markers": lambda n: "<tool_call>[TOOL_CALLS]" * n,
    "hermes string": lambda n: '<tool_call>{"name": "f", "arguments": {"a": "' + 'b \\" ' * n,
    "hermes early": lambda n: '<tool_call>{"arguments": {"a": [' + "1, " * n,
    "hermes key": lambda n: '<tool_call>{"' + "name" * n,
    "llama3 numbers": lambda n: '{"name": "f", "parameters": {"a": [' + "1.5e3, " * n,
    "llama3 calls": lambda n: '{"name": "f", "parameters": {}};' * n,
    "mistral list": lambda n: "[TOOL_CALLS][" + '{"name": "f", "arguments": {"a": 1}},' * n,
    "mistral head": lambda n: ("[TOOL_CALLS]" + "a " * 300) * (n // 100),
    "pythonic string": lambda n: "[f(a='" + "b \\n\\x41" * n,
    "pythonic list": lambda n: "[f(a=[" + "1, 'x', " * n,
    "pythonic calls": lambda n: "[" + "f(a=1, b={}), " * n,
    "pythonic name": lambda n: "[" + "a." * n,
}


@every_parser
@pytest.mark.parametrize("kind", sorted(LONG))
def test_work_grows_with_the_text_and_no_faster(name: str, kind: str) -> None:
    short, long = (work(lambda n=n: parts(name, LONG[kind](n))) for n in (300, 1200))  # type: ignore[misc]
    assert long < 4.4 * short + 200

"""Answers with tool calls in them, right, broken and cut off, for each way of writing them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from engines.text.tools import TOOL_PARSERS, CallArguments, CallBegun, Part, Said

Call = tuple[str, dict[str, Any]]

NAMES = st.sampled_from(["f", "get_weather", "ns.search", "_x1"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["a", "b", "città", "_c"]), VALUES, max_size=3)
CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=3)
SPACES = st.sampled_from(["", " ", "\n", "\n\n "])


def as_object(call: Call, key: str, *, arguments_first: bool = False) -> str:
    name, arguments = f'"name": {json.dumps(call[0])}', f'"{key}": {json.dumps(call[1], ensure_ascii=False)}'
    return "{" + ", ".join([arguments, name] if arguments_first else [name, arguments]) + "}"


@st.composite
def hermes(draw: st.DrawFn, calls: list[Call]) -> str:
    first = draw(st.booleans())
    tagged = [f"<tool_call>\n{as_object(call, 'arguments', arguments_first=first)}\n</tool_call>" for call in calls]
    return draw(SPACES).join(tagged) + draw(SPACES)


@st.composite
def llama3(draw: st.DrawFn, calls: list[Call]) -> str:
    key = draw(st.sampled_from(["parameters", "arguments"]))
    return draw(st.sampled_from(["", "<|python_tag|>"])) + draw(st.sampled_from([";", "; ", "\n"])).join(
        as_object(call, key) for call in calls
    )


@st.composite
def mistral(draw: st.DrawFn, calls: list[Call]) -> str:
    if draw(st.booleans()):
        listed = ", ".join(as_object(call, "arguments") for call in calls)
        return f"[TOOL_CALLS]{draw(SPACES)}[{listed}]{draw(SPACES)}"
    between = draw(st.sampled_from(["", "[ARGS]", "[CALL_ID]a1[ARGS]"]))
    return "".join(f"[TOOL_CALLS]{name}{between}{json.dumps(arguments)}" for name, arguments in calls)


@st.composite
def pythonic(draw: st.DrawFn, calls: list[Call]) -> str:
    written = (f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})" for name, given in calls)
    return draw(SPACES) + "[" + ", ".join(written) + "]" + draw(SPACES)


WRITERS = {"hermes": hermes, "llama3": llama3, "mistral": mistral, "pythonic": pythonic}
"""For every parser, how a model that is right writes calls."""

SHARDS = [
    "<tool_call>", "</tool_call>", "<tool", "[TOOL_CALLS]", "[TOOL", "[ARGS]", "[CALL_ID]x", "<|python_tag|>", "{", "}",
    "[", "]", "(", ")", '"', "'", ":", ",", ";", "=", " ", "\n", "\\", "\\u00", "name", '"name": "f"', '"arguments": ',
    '"parameters": {"a": 1}', "f", "f(", "a=", "1", "-", "e5", "True", "tru", "None", "null", "x",
]  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> str:
    """Anything: text, calls of any kind with parts of them missing or doubled, shards."""
    calls = draw(CALLS)
    right = st.one_of([writer(calls) for writer in WRITERS.values()])
    pieces = draw(st.lists(right | st.text() | st.lists(st.sampled_from(SHARDS)).map("".join), max_size=3))
    text = "".join(pieces)
    start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    return draw(st.sampled_from([text, text[:end], text[start:], text[:start] + text[end:]]))


def parts(name: str, pieces: Iterable[str]) -> list[Part]:
    ids = itertools.count()
    parser = TOOL_PARSERS[name](lambda: f"call_{next(ids)}")
    return joined([*(part for piece in pieces for part in parser.feed(piece)), *parser.finish()])


def joined(found: Iterable[Part]) -> list[Part]:
    """With neighbours of the same kind made one."""
    out: list[Part] = []
    for part in found:
        last = out[-1] if out else None
        if isinstance(part, Said) and isinstance(last, Said):
            out[-1] = Said(last.text + part.text)
        elif isinstance(part, CallArguments) and isinstance(last, CallArguments) and last.index == part.index:
            out[-1] = CallArguments(part.index, last.fragment + part.fragment)
        else:
            out.append(part)
    return out


def said(found: Iterable[Part]) -> str:
    return "".join(part.text for part in found if isinstance(part, Said))


def calls_in(found: Iterable[Part]) -> list[tuple[str, str]]:
    """Name and arguments of each, as an SDK gathers them."""
    out: list[tuple[str, str]] = []
    for part in found:
        if isinstance(part, CallBegun):
            assert part.index == len(out)
            assert part.id == f"call_{part.index}"
            out.append((part.name, ""))
        elif isinstance(part, CallArguments):
            assert part.index == len(out) - 1
            out[-1] = (out[-1][0], out[-1][1] + part.fragment)
    return out

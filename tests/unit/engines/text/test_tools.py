"""Tool calls: when they are told, what is made of wrong ones, and where it ends."""

from __future__ import annotations

import pytest

from engines.text.tools import TOOL_PARSERS, CallArguments, CallBegun, Part, Said, ToolParser
from engines.text.tools.api import MAX_CALLS, MAX_HELD
from tests.properties.tool_calls import calls_in, parts, said

CALL = '{"name": "f", "arguments": {"a": 1}}'
F = ("f", '{"a": 1}')


def parser(name: str) -> ToolParser:
    return TOOL_PARSERS[name](lambda: "id")


def fed(machine: ToolParser, *pieces: str) -> list[list[Part]]:
    return [*(machine.feed(piece) for piece in pieces), machine.finish()]


def test_a_call_is_told_once_it_is_certain_and_its_arguments_as_they_come() -> None:
    pieces = ("Let me", " see.<tool", "_call>", '{"name": "f"', ', "arguments": {', '"a"', ": 1", "}}", "</tool_call>")
    assert fed(parser("hermes"), *pieces) == [
        [Said("Let me")], [Said(" see.")], [], [],
        [CallBegun(0, "id", "f"), CallArguments(0, "{")], [CallArguments(0, '"a"')], [CallArguments(0, ": 1")],
        [CallArguments(0, "}")], [], [],
    ]  # fmt: skip


def test_python_becomes_json_as_it_comes() -> None:
    assert fed(parser("pythonic"), "[f", "(a", "=", "'it", "\\", "'s \"", "'", ", b=-1", "5)", "]") == [
        [], [], [CallBegun(0, "id", "f"), CallArguments(0, '{"a": ')], [CallArguments(0, '"it')], [],
        [CallArguments(0, "'s \\\"")], [CallArguments(0, '"')], [CallArguments(0, ', "b": ')],
        [CallArguments(0, "-15"), CallArguments(0, "}")], [], [],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", f"\n<tool_call>\n{CALL}\n</tool_call>\n<tool_call>{CALL}</tool_call>\n"),
        ("hermes", f"<tool_call>{CALL}<tool_call>{CALL}"),
        ("llama3", f"{CALL}; {CALL}"),
        ("llama3", f'<|python_tag|>{{"type": "function", "name": "f", "parameters": {{"a": 1}}}}\n{CALL}'),
        ("mistral", f"[TOOL_CALLS] [{CALL}, {CALL}]"),
        ("mistral", f"[TOOL_CALLS][{CALL}]\n[TOOL_CALLS][{CALL}]"),
        ("mistral", '[TOOL_CALLS]f{"a": 1}[TOOL_CALLS]f[CALL_ID]x1[ARGS]{"a": 1}'),
        ("pythonic", " [f(a=1), f(a = 1,),]\n"),
    ],
)
def test_ways_to_write_two_calls(name: str, text: str) -> None:
    found = parts(name, [text])
    assert calls_in(found) == [F, F]
    assert said(found) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, "") for name in TOOL_PARSERS),
        *((name, " \n") for name in TOOL_PARSERS),
        *((name, "An answer.") for name in TOOL_PARSERS),
        ("hermes", "<tool_call>"),
        ("hermes", '<tool_call>{"name": "f"}</tool_call>'),
        ("hermes", '<tool_call>{"arguments": {}}</tool_call>'),
        ("hermes", '<tool_call>{"name": "", "arguments": {}}'),
        ("hermes", '<tool_call>{"name": "\\ud800", "arguments": {}}'),
        ("hermes", '<tool_call>{"name": 1, "arguments": {}}'),
        ("hermes", '<tool_call>{"name": "f", "arguments": "{}"}'),
        ("hermes", "<tool_call>{'name': 'f'}</tool_call>"),
        ("llama3", '{"name": "Ada", "age": 36}'),
        ("llama3", '<|python_tag|>search.call(query="x")'),
        ("llama3", f"The call: {CALL}"),
        ("mistral", "[TOOL_CALLS] []"),
        ("mistral", '[TOOL_CALLS] two words {"a": 1}'),
        ("mistral", "[TOOL_CALLS]f(1)"),
        ("pythonic", "[]"),
        ("pythonic", "[a link](to)"),
        ("pythonic", "[f(x)](y)"),
        ("pythonic", "[f(1)]"),
    ],
)
def test_what_is_no_call_is_text(name: str, text: str) -> None:
    found = parts(name, [text])
    assert found == ([Said(text)] if text else [])


def test_an_answer_in_json_does_not_wait_for_its_end() -> None:
    assert parser("llama3").feed('{"answer": [') == [Said('{"answer": [')]


@pytest.mark.parametrize(
    ("name", "text", "arguments", "rest"),
    [
        ("hermes", '<tool_call>{"name": "f", "arguments": {"a": tru}}</tool_call>', '{"a": tru', "}}</tool_call>"),
        ("mistral", '[TOOL_CALLS]f{"a": 1,}', '{"a": 1,', "}"),
        ("llama3", f"{CALL}; and more", '{"a": 1}', "; and more"),
        ("pythonic", "[f(a=[1, x])]", '{"a": [1, ', "x])]"),
        ("pythonic", "[f(a=1, g)]", '{"a": 1', ", g)]"),
        ("pythonic", "[f(a=1, a=2)]", '{"a": 1', ", a=2)]"),
    ],
)
def test_a_call_that_breaks_off_stays_as_far_as_it_was_right(name: str, text: str, arguments: str, rest: str) -> None:
    found = parts(name, [text])
    assert calls_in(found) == [("f", arguments)]
    assert said(found) == rest


def test_the_next_call_is_found_behind_a_broken_one() -> None:
    found = parts("hermes", [f"<tool_call>oh<tool_call>{CALL}</tool_call>"])
    assert (said(found), calls_in(found)) == ("<tool_call>oh", [F])


def test_white_space_within_the_tags_is_never_said() -> None:
    assert said(parts("hermes", [f"<tool_call>\n{CALL}\n</tool_call> Done."])) == " Done."


def test_half_a_surrogate_pair_stays_an_escape() -> None:
    ((_, arguments),) = calls_in(parts("pythonic", [r"[f(a='\ud83d\ude42\ud800')]"]))
    assert arguments == r'{"a": "\ud83d\ude42\ud800"}'


def test_arguments_before_the_name_wait_for_it() -> None:
    told = fed(parser("hermes"), '<tool_call>{"arguments": {"a": 1}, "na', 'me": "f"', "}</tool_call>")
    assert told == [[], [CallBegun(0, "id", "f"), CallArguments(0, '{"a": 1}')], [], []]


def test_of_a_name_or_arguments_that_come_twice_the_first_count() -> None:
    twice = '{"name": "f", "name": "g", "arguments": {"a": 1}, "arguments": {"b": 2}, "name": "h"}'
    found = parts("llama3", [twice])
    assert (calls_in(found), said(found)) == ([F], "")


MANY = {
    "hermes": f"<tool_call>{CALL}</tool_call>",
    "llama3": f"{CALL};",
    "mistral": '[TOOL_CALLS]f{"a": 1}',
    "pythonic": "f(a=1),",
}


@pytest.mark.parametrize("name", sorted(TOOL_PARSERS))
def test_so_many_calls_are_calls(name: str) -> None:
    one, start = MANY[name], "[" if name == "pythonic" else ""
    found = parts(name, [start + one * (MAX_CALLS + 2)])
    assert calls_in(found) == [F] * MAX_CALLS
    assert said(found).endswith(one * 2)


def test_so_much_is_held_for_a_call() -> None:
    text = '<tool_call>{"arguments": {"a": "' + "x" * MAX_HELD
    for pieces in ([text], [text[:100], text[100:]]):
        machine = parser("hermes")
        told = [part for piece in pieces for part in machine.feed(piece)]
        assert told[0] == Said(text[:MAX_HELD])
        assert said([*told, *machine.finish()]) == text


def test_so_long_is_a_name() -> None:
    for text in ("[" + "f" * 300 + "()]", "[f(" + "a" * 300 + "=1)]"):
        assert parts("pythonic", [text]) == parts("pythonic", text) == [Said(text)]
    text = "[TOOL_CALLS]" + "f" * 600 + "{}"
    assert parts("mistral", [text]) == parts("mistral", text) == [Said(text)]


@pytest.mark.parametrize(
    ("name", "text", "state"),
    [
        ("hermes", "<tool_call>", "<Hermes at opened, 0 calls, 0 characters held>"),
        ("llama3", CALL, "<Llama3 at closed, 1 calls, 0 characters held>"),
        ("mistral", "x[TOOL", "<Mistral at text, 0 calls, 5 characters held>"),
        ("pythonic", "[f(", "<Pythonic at argument, 0 calls, 0 characters held>"),
    ],
)
def test_their_state_is_shown(name: str, text: str, state: str) -> None:
    machine = parser(name)
    machine.feed(text)
    assert repr(machine) == state

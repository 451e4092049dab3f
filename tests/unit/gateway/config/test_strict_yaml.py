"""Files that are no YAML, or more than they seem, are told by their place, at once and without their content."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.config import ConfigError, load
from gateway.config.strict_yaml import UnreadableError, parse

SECRET = "canary9f3b"


def problem(text: str) -> str:
    with pytest.raises(UnreadableError) as caught:
        parse(text, "f")
    assert SECRET not in str(caught.value)
    return str(caught.value)


def bomb(lines: int) -> str:
    """Each line stands for nine times what the one before stands for."""
    first = "k0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    return first + "".join(f"k{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]\n" for at in range(1, lines))


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "&x [[[*x]]]"])
def test_a_cycle_is_refused(text: str) -> None:
    assert "an alias that holds itself" in problem(text)


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    begun = time.thread_time()
    assert "too many values" in problem(bomb(60))
    assert time.thread_time() - begun < 10
    assert len(parse(bomb(4), "f")) == 4


@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_what_is_nested_without_end_is_refused(opening: str) -> None:
    assert "nested too deeply" in problem(opening * 5000)


def test_everything_that_is_given_twice_is_told_at_once() -> None:
    assert problem("a: 1\nb: {c: 1, c: 2}\na: 3\n").splitlines() == [
        "f:2:11: not readable as YAML: c is given twice",
        "f:3:1: not readable as YAML: a is given twice",
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"a: *{SECRET}", f"a: !{SECRET} b", f"a: !!int {SECRET}", f"a: !!float {SECRET}", f"a: !!bool {SECRET}",
        f"a: !!timestamp {SECRET}", f"a: !!binary {SECRET}", f'a: "{SECRET}', f"a: [{SECRET}\nb: 5",
        f"- {SECRET}\n---\n- 2", f"[{SECRET}]: b", "a: 2026-02-30", f"a: {'1' * 5000}", "a: %", "\x00", "a: \ud800",
    ],
    ids=range(16),
)  # fmt: skip
def test_what_can_not_be_read_is_not_repeated(text: str) -> None:
    assert problem(text).startswith("f:")


@pytest.mark.parametrize(
    "value",
    ["2027-13-01", "2026-02-30", "1" * 5000, "!!bool x", "!!float x", "!!float " + "1:" * 200 + "1.0"],
    ids=range(6),
)
def test_a_value_that_can_not_be_is_told_its_place(value: str) -> None:
    assert problem(f"a:\n  - b: {value}\n") == "f:2:8: not readable as YAML: holds a value that can't be"


def test_a_character_that_can_not_be_is_told_by_the_file_alone() -> None:
    assert problem('a: "\\UFFFFFFFF"') == "f: not readable as YAML: holds a value that can't be"


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="longer than 1048576 bytes"):
        load(Path("/dev/zero"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)

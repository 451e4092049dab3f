"""What is thought, what is said, and when."""

from __future__ import annotations

import pytest

from engines.text.reasoning import Reasoning


def told(machine: Reasoning, *pieces: str) -> list[tuple[str, str]]:
    return [*(machine.feed(piece) for piece in pieces), machine.flush()]


def test_both_stream() -> None:
    assert told(Reasoning(), "<think>", "\nSo,", " it is", "\n</thi", "nk>\n\nIt", " is.") == [
        ("", ""), ("So,", ""), (" it is", ""), ("", ""), ("", "It"), ("", " is."), ("", ""),
    ]  # fmt: skip


def test_the_prompt_may_have_opened_it() -> None:
    assert told(Reasoning(opened=True), "\nSo", "</think>It") == [("So", ""), ("", "It"), ("", "")]
    assert told(Reasoning(opened=True), "<think>So", "</think>It") == [("So", ""), ("", "It"), ("", "")]


def test_a_block_that_is_never_closed_is_reasoning() -> None:
    assert told(Reasoning(), "<think>So", "\n</thi") == [("So", ""), ("", ""), ("\n</thi", "")]


def test_an_answer_without_one_is_content_to_the_last_space() -> None:
    assert told(Reasoning(), " <thing> ", "</think>") == [("", " <thing> "), ("", "</think>"), ("", "")]
    assert told(Reasoning(), " <thi") == [("", ""), ("", " <thi")]


def test_later_markers_are_content() -> None:
    text = "A <think> tag </think>"
    assert told(Reasoning(), text) == [("", text), ("", "")]


def test_markers_can_be_others() -> None:
    machine = Reasoning("[THINK]", "[/THINK]")
    assert told(machine, "[THINK]a[/THINK]b") == [("a", "b"), ("", "")]
    with pytest.raises(ValueError, match="empty"):
        Reasoning("", "x")


def test_its_state_is_shown() -> None:
    machine = Reasoning()
    machine.feed("<think>a ")
    assert repr(machine) == "<Reasoning to think, 1 characters held>"
    machine.feed("</think>b")
    assert repr(machine) == "<Reasoning in content, 0 characters held>"

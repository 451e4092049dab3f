"""What a server's bytes mean before they are complete."""

from __future__ import annotations

import pytest

from engines.text.deltas import Cumulative, Deltas


def test_a_character_waits_for_its_last_byte() -> None:
    machine = Deltas()
    assert [machine.feed(bytes([byte])) for byte in "a🙂".encode()] == ["a", "", "", "", "🙂"]
    assert repr(machine) == "<Deltas 0 bytes held>"


def test_an_answer_cut_within_a_character_ends_as_the_whole_decodes() -> None:
    deltas, cumulative = Deltas(), Cumulative()
    assert deltas.feed(b"a\xf0\x9f") + deltas.flush() == "a\ufffd"
    assert cumulative.feed(b"a\xf0\x9f") + cumulative.flush() == "a\ufffd"
    assert cumulative.flush() == ""


@pytest.mark.parametrize("machine", [Deltas(), Cumulative()])
def test_bytes_that_are_no_text_are_told(machine: Deltas | Cumulative) -> None:
    with pytest.raises(ValueError, match="utf-8"):
        machine.feed(b"a\xff")


def test_a_delta_server_may_say_that_it_lost_a_character() -> None:
    assert Deltas().feed("a\ufffd".encode()) == "a\ufffd"


def test_a_replacement_character_counts_once_something_follows() -> None:
    machine = Cumulative()
    assert [machine.feed(text.encode()) for text in ("a\ufffd", "a\ufffd\ufffd", "a\ufffd\ufffdb")] == [
        "a",
        "",
        "\ufffd\ufffdb",
    ]


def test_text_that_falls_back_is_waited_for() -> None:
    machine = Cumulative()
    texts = ["🙂", "\ufffd\ufffd\ufffd\ufffd\ufffd", "🙂🙂"]
    assert [machine.feed(text.encode()) for text in texts] == ["🙂", "", "🙂"]


def test_a_stop_string_that_the_server_cuts_off_at_last_is_no_lie() -> None:
    machine = Cumulative()
    assert [machine.feed(text) for text in (b"one EN", b"one ", b"")] == ["one EN", "", ""]
    assert machine.flush() == ""
    assert repr(machine) == "<Cumulative 4 of 4 bytes said>"


def test_an_empty_last_message_loses_nothing_that_is_held() -> None:
    machine = Cumulative()
    assert [machine.feed("a\ufffd".encode()), machine.feed(b""), machine.flush()] == ["a", "", "\ufffd"]


def test_other_text_than_was_said_is_told() -> None:
    machine = Cumulative()
    machine.feed(b"one two")
    with pytest.raises(ValueError, match="changed text"):
        machine.feed(b"one tvvo and more")

"""What a stop string holds back, and what it lets through."""

from __future__ import annotations

import pytest

from engines.text.stops import Stops


def test_a_stop_string_over_three_chunks_is_not_said() -> None:
    machine = Stops(["\nUser:"])
    assert [machine.feed(text) for text in ("Hello.\n", "Us", "er: and", " more")] == ["Hello.", "", "", ""]
    assert machine.hit == "\nUser:"
    assert machine.flush() == ""


def test_text_that_only_began_like_one_is_said() -> None:
    machine = Stops(["\nUser:"])
    assert [machine.feed("a\nUse"), machine.feed(" it"), machine.feed("\nUs"), machine.flush()] == [
        "a",
        "\nUse it",
        "",
        "\nUs",
    ]
    assert machine.hit is None


def test_the_first_complete_one_wins_and_then_the_longer() -> None:
    inner = Stops(["abcd", "bc"])
    assert (inner.feed("xabcd"), inner.hit) == ("xa", "bc")
    longer = Stops(["c", "abc"])
    assert (longer.feed("xabc"), longer.hit) == ("x", "abc")


def test_without_stop_strings_all_is_said() -> None:
    assert Stops([]).feed("anything") == "anything"


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Stops(["a", ""])


def test_its_state_is_shown() -> None:
    machine = Stops(["END"])
    machine.feed("the E")
    assert repr(machine) == "<Stops 1 strings, 1 characters held, hit None>"

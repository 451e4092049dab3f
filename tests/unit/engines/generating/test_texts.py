"""The texts of one request: how many, and what makes the choices among them differ."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from engines.api import Kind, Rejected
from engines.generating.texts import MAX_SENT, MAX_TEXTS, Reading, Text, texts
from engines.text.asked import Asked, Image


def made(prompts: int = 1, *, drawing: bool = True, **members: Any) -> list[Text]:
    """Seeds are drawn as 100, 101, ..."""
    asked = Asked(kind="completion", prompts=[f"written {at}" for at in range(prompts)], max_tokens=9, **members)
    return texts(asked, [f"sent {at}" for at in range(prompts)], count(100).__next__ if drawing else None)


def seeds(them: list[Text]) -> list[int | None]:
    return [text.asked.seed for text in them]


def test_each_prompt_has_its_choices_in_order() -> None:
    them = made(2, n=2)
    assert [(text.index, text.prompt, text.written) for text in them] == [
        (0, "sent 0", "written 0"), (1, "sent 0", "written 0"), (2, "sent 1", "written 1"), (3, "sent 1", "written 1"),
    ]  # fmt: skip
    assert {text.asked.n for text in them} == {1}


def test_choices_that_nobody_wanted_alike_are_drawn() -> None:
    them = made(n=3)
    assert [text.asked.temperature for text in them] == [1.0] * 3
    assert seeds(them) == [100, 101, 102]


def test_one_text_is_left_as_the_server_makes_it() -> None:
    (text,) = made()
    assert (text.asked.temperature, text.asked.seed) == (None, None)


@pytest.mark.parametrize("drawn", [{"temperature": 0.5}, {"top_p": 0.5}, {"top_k": 5}], ids=str)
def test_what_is_drawn_gets_a_seed(drawn: dict[str, Any]) -> None:
    assert seeds(made(2, **drawn)) == [100, 101]
    assert seeds(made(2, n=2, **drawn)) == [100, 101, 102, 103]


@pytest.mark.parametrize("greedy", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_k": 1}], ids=str)
def test_the_likeliest_text_needs_none(greedy: dict[str, Any]) -> None:
    them = made(n=2, **greedy)
    assert seeds(them) == [None, None]
    assert [text.asked.temperature for text in them] == [greedy.get("temperature")] * 2


def test_a_caller_s_seed_is_the_first_choice_s_and_counts_on() -> None:
    assert seeds(made(2, n=2, seed=2**64 - 1)) == [2**64 - 1, 0, 2**64 - 1, 0]
    assert seeds(made(seed=5)) == [5]


def test_a_model_without_seeds_is_sent_none() -> None:
    assert seeds(made(n=2, temperature=1.0, drawing=False)) == [None, None]


@pytest.mark.parametrize(
    ("kind", "prompts", "n", "param"),
    [
        ("completion", MAX_TEXTS + 1, 1, "prompt"),
        ("completion", 43, 3, "n"),
        ("embedding", MAX_TEXTS + 1, 1, "input"),
        ("chat", 0, MAX_TEXTS + 1, "n"),
    ],
)
def test_there_may_not_be_too_many(kind: Kind, prompts: int, n: int, param: str) -> None:
    with pytest.raises(Rejected) as refused:
        Reading(None, reasoning=False).check(Asked(kind=kind, prompts=["x"] * prompts, n=n))
    assert refused.value.param == param


def test_many_choices_may_not_send_a_long_prompt_too_often() -> None:
    """A request of a few megabytes would take as many gigabytes."""
    pictured = Asked(kind="chat", n=128, images=(Image("x" * (MAX_SENT // 128), "messages[0]"),))
    for asked, prompt in (
        (Asked(kind="completion", prompts=["w"], n=128), "x" * (MAX_SENT // 128 + 1)),
        (pictured, "x"),
    ):
        with pytest.raises(Rejected) as refused:
            texts(asked, [prompt])
        assert refused.value.param == "n"
    assert len(texts(Asked(kind="completion", prompts=["w"]), ["x" * (MAX_SENT + 1)])) == 1

"""How long prompts and answers may be: what is done about those that are longer."""

from __future__ import annotations

import asyncio

import pytest

from engines.api import Rejected
from engines.generating.limits import Limits
from engines.text.asked import Asked


def test_nothing_known_limits_nothing() -> None:
    assert Limits().longest_prompt is None
    assert Limits().check(10**9, 10**9) == 10**9


@pytest.mark.parametrize("policy", ["clamp", "refuse"])
def test_p29_a_prompt_over_the_limit_is_refused_with_both_numbers(policy: str) -> None:
    limits = Limits(sequence=101, policy="clamp" if policy == "clamp" else "refuse")
    assert limits.check(100, 1) == 1
    with pytest.raises(Rejected, match=r"\b100\b.*\b101\b") as refused:
        limits.check(101, 1, "messages")
    assert (refused.value.param, refused.value.code) == ("messages", "context_length_exceeded")


def test_p29_an_answer_that_does_not_fit_is_shortened() -> None:
    limits = Limits(sequence=100)
    assert limits.check(60, 40) == 40
    assert limits.check(60, 41) == 40
    assert limits.check(99, 1000) == 1


def test_p29_or_it_is_refused_with_both_numbers() -> None:
    limits = Limits(sequence=100, policy="refuse")
    assert limits.check(60, 40) == 40
    with pytest.raises(Rejected, match=r"\b100\b.*\b101\b.*\b60\b.*\b41\b") as refused:
        limits.check(60, 41)
    assert (refused.value.param, refused.value.code) == ("max_tokens", "context_length_exceeded")


async def test_others_have_their_turn_between_two_prompts() -> None:
    turns: list[str] = []

    async def count(prompt: str, _enough: int | None) -> int:
        turns.append(prompt)
        return 1

    async def other() -> None:
        turns.append("other")

    waiting = asyncio.create_task(other())
    assert await Limits().fit(Asked(kind="completion", max_tokens=1), ["a", "b"], count) == 2
    assert turns == ["a", "other", "b"]
    await waiting

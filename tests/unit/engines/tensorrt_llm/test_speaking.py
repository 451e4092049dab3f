"""What the LLM repeats becomes what is new of it, with the counts, and with log probabilities in either form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from engines.tensorrt_llm.speaking import Speaking
from engines.tensorrt_llm.wire import Said


@dataclass
class Output:
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[Any] | None = None
    finish_reason: str | None = None


@dataclass
class Logprob:
    logprob: float


def test_each_step_says_what_is_new_and_half_characters_wait() -> None:
    speaking = Speaking(5)
    steps = [("The", 1), ("The \ufffd", 2), ("The \U0001f3d4", 3), ("The \U0001f3d4", 3), ("The \U0001f3d4 \ufffd", 4)]
    said = [speaking.hear(Output(text, list(range(count)))) for text, count in steps]
    texts = ["The", " ", "\U0001f3d4", None, " "]
    assert [one.text if one else None for one in said] == texts
    assert [one.completion for one in said if one] == [1, 2, 3, 4]
    last = speaking.hear(Output("The \U0001f3d4 \ufffd", [0] * 4, finish_reason="length"))
    assert last == Said("\ufffd", 5, 4, "length")


def test_a_text_that_says_something_else_than_before_is_refused() -> None:
    speaking = Speaking(1)
    speaking.hear(Output("one two", [1, 2]))
    with pytest.raises(ValueError, match="changed"):
        speaking.hear(Output("one three", [1, 3, 4]))


def test_what_is_told_at_its_end_only_is_told_whole() -> None:
    speaking = Speaking(1, told=False)
    assert speaking.hear(Output("one", [1])) is None
    assert speaking.hear(Output("other words", [2, 3], finish_reason="length")) == Said("other words", 1, 2, "length")


@pytest.mark.parametrize("told", [{5: -0.5, 9: -3.0}, {5: Logprob(-0.5)}, -0.5], ids=["number", "object", "alone"])
def test_the_log_probability_of_the_token_itself_is_found(told: Any) -> None:
    speaking = Speaking(1)
    first = speaking.hear(Output("a", [5], [told]))
    second = speaking.hear(Output("ab", [5, 5], [told, told]))
    assert first is not None
    assert second is not None
    assert (first.logprobs, second.logprobs) == ([-0.5], [-0.5])

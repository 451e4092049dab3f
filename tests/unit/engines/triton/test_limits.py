"""How long prompts and answers may be: what configs tell, and what is done about it."""

from __future__ import annotations

import pytest

from engines.api import Rejected
from engines.triton.limits import Limits
from engines.triton.profiles.api import ModelFacts


def told(**parameters: str) -> ModelFacts:
    return ModelFacts("m", parameters=parameters)


def test_nothing_known_limits_nothing() -> None:
    nothing = Limits.of([told(), told(max_seq_len="", max_num_tokens="${max_num_tokens}", max_input_len="-1")])
    assert nothing == Limits()
    assert nothing.longest_prompt is None
    assert nothing.check(10**9, 10**9) == 10**9


def test_the_narrowest_of_all_steps_counts() -> None:
    limits = Limits.of(
        [told(max_seq_len="4096"), told(max_seq_len=" 2048 ", max_input_len="1000", max_num_tokens="8192")]
    )
    assert limits == Limits(2048, 1000)
    assert limits.longest_prompt == 1000


def test_p29_a_prompt_is_bound_by_the_sequence_and_by_the_tokens_of_one_pass() -> None:
    assert Limits.of([told(max_seq_len="8193", max_num_tokens="8192")]).longest_prompt == 8192
    assert Limits.of([told(max_seq_len="4096", max_num_tokens="8192")]).longest_prompt == 4095
    chunked = told(max_seq_len="32768", max_num_tokens="8192", enable_chunked_context="true")
    assert Limits.of([chunked]).longest_prompt == 32767


def test_the_operator_knows_better() -> None:
    known = told(max_seq_len="4096", max_input_len="2048")
    assert Limits.of([known], Limits(sequence=100)) == Limits(100, 2048)
    assert Limits.of([known], Limits(prompt=9, policy="refuse")) == Limits(4096, 9, "refuse")


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

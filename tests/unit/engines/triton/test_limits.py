"""How long prompts and answers may be, and how many at a time: what configs tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engines.generating.limits import Limits
from engines.triton.limits import at_a_time, told
from engines.triton.profiles.api import ModelFacts
from tests.support import golden_table


def facts(**parameters: str) -> ModelFacts:
    return ModelFacts("m", parameters=parameters)


def test_nothing_known_limits_nothing() -> None:
    nothing = told([facts(), facts(max_seq_len="", max_num_tokens="${max_num_tokens}", max_input_len="-1")])
    assert nothing == Limits()
    assert nothing.longest_prompt is None


def test_the_narrowest_of_all_steps_counts() -> None:
    limits = told([facts(max_seq_len="4096"), facts(max_seq_len=" 2048 ", max_input_len="1000", max_num_tokens="8192")])
    assert limits == Limits(2048, 1000)
    assert limits.longest_prompt == 1000


def test_p29_a_prompt_is_bound_by_the_sequence_and_by_the_tokens_of_one_pass() -> None:
    assert told([facts(max_seq_len="8193", max_num_tokens="8192")]).longest_prompt == 8192
    assert told([facts(max_seq_len="4096", max_num_tokens="8192")]).longest_prompt == 4095
    chunked = facts(max_seq_len="32768", max_num_tokens="8192", enable_chunked_context="true")
    assert told([chunked]).longest_prompt == 32767


def test_the_operator_knows_better() -> None:
    known = facts(max_seq_len="4096", max_input_len="2048")
    assert told([known], Limits(sequence=100)) == Limits(100, 2048)
    assert told([known], Limits(prompt=9, policy="refuse")) == Limits(4096, 9, "refuse")


@pytest.mark.parametrize(
    ("model", "config", "calls"),
    [
        ("bls", {"instances": 2, "max_batch_size": 64, "batches": True, "decoupled": True}, 2),
        ("bls", {}, None),
        ("generic", {"instances": 3}, 3),
        ("generic", {"instances": 3, "max_batch_size": 8}, 3),
        ("generic", {"instances": 3, "max_batch_size": 8, "batches": True}, 24),
        ("generic", {"instances": 3, "batches": True}, 3),
        ("generic", {"instances": 1, "decoupled": True}, None),
        ("generic", {}, None),
        ("embedding", {"instances": 1, "max_batch_size": 8, "batches": True}, None),
        ("ensemble", {"max_batch_size": 64}, None),
        ("llmapi", {"instances": 1}, None),
    ],
    ids=range(11),
)
def test_what_a_model_executes_at_a_time_is_told_where_its_instances_are_blocked_by_it(
    model: str, config: dict[str, Any], calls: int | None
) -> None:
    unset = {"instances": 0, "max_batch_size": 0, "batches": False, "decoupled": False}
    assert at_a_time(golden_table.profile(model), replace(golden_table.facts(model), **{**unset, **config})) == calls

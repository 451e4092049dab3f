"""Prompt limits of the embedded model (P29): both numbers in the refusal, the answer's cap lowered to what is left."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engines.api import Rejected
from engines.embedded.budget import fit, refuse_huge


def fields(**members: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items()}


def test_a_prompt_of_the_limit_passes_and_one_more_is_refused_with_both_numbers() -> None:
    asked = fields(messages=[], max_tokens=5)
    assert fit(asked, 100, limit=100, context=200)["max_tokens"] == msgspec.Raw(b"5")
    with pytest.raises(Rejected, match=r"100 .*101") as refused:
        fit(asked, 101, limit=100, context=200)
    assert (refused.value.param, refused.value.code) == ("messages", "context_length_exceeded")


def test_a_prompt_that_leaves_no_room_in_the_slot_is_refused() -> None:
    with pytest.raises(Rejected, match=r"199 .*200") as refused:
        fit(fields(prompt="x", max_tokens=5), 200, limit=1000, context=200)
    assert refused.value.param == "prompt"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_cap_beyond_the_slot_is_lowered_and_no_cap_becomes_what_is_left(name: str) -> None:
    assert fit(fields(prompt="x", **{name: 9999}), 50, limit=100, context=200)[name] == msgspec.Raw(b"150")
    assert fit(fields(prompt="x"), 50, limit=100, context=200)["max_tokens"] == msgspec.Raw(b"150")


@pytest.mark.parametrize("cap", [0, -1, "many", 1.5])
def test_a_cap_that_is_none_is_refused(cap: Any) -> None:
    with pytest.raises(Rejected) as refused:
        fit(fields(prompt="x", max_tokens=cap), 50, limit=100, context=200)
    assert refused.value.param == "max_tokens"


def test_a_huge_body_is_refused_by_its_size_alone() -> None:
    refuse_huge(fields(prompt="x" * 6000), limit=100)
    with pytest.raises(Rejected, match=r"100 .*7002 bytes") as refused:
        refuse_huge(fields(prompt="x" * 7000), limit=100)
    assert refused.value.code == "context_length_exceeded"

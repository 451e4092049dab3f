"""A name that can't be chosen is told those that can, and the nearest one."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from engines.choices import OneOf, meant


class Options(BaseModel):
    engine: Annotated[str, OneOf({"openai": 1, "triton": 2}, ["embedded"])]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("tritn", "must be one of openai, triton, embedded; did you mean triton?"),
        ("sk-canary", "must be one of openai, triton, embedded"),
    ],
)
def test_the_nearest_name_is_told_and_not_the_given_one(given: str, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Options(engine=given)
    assert caught.value.errors()[0]["msg"] == f"Value error, {told}"


def test_a_known_name_is_taken_and_stands_in_the_schema() -> None:
    assert Options(engine="embedded").engine == "embedded"
    assert Options.model_json_schema()["properties"]["engine"]["enum"] == ["openai", "triton", "embedded"]


def test_a_huge_name_costs_no_more_than_a_short_one() -> None:
    assert meant("x" * 10_000_000, ["x" * 64]) == f"; did you mean {'x' * 64}?"

"""A plan that is set over the file is read so that none holds that no file could say."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import check
from gateway.config.entries import Unfit
from gateway.config.plans import check_plan, read_plan

CONFIG = check(
    {
        "models": [{"name": "chat", "engine": "scripted"}],
        "quotas": {"plans": [{"name": "gold"}, {"name": "default"}]},
    },
    "file",
)


def test_it_is_what_a_file_could_say() -> None:
    given = {"key": {"requests_per_minute": 5}, "models": [{"model": "chat", "tokens_per_day": 7}], "enforce": False}
    plan = read_plan("gold", given)
    check_plan(plan, CONFIG)  # in the place of the file's
    assert (plan.name, plan.key.requests_per_minute, plan.models[0].tokens_per_day) == ("gold", 5, 7)
    assert plan.model_dump(mode="json", exclude_unset=True, exclude={"name"}) == given
    check_plan(read_plan("empty", {}), CONFIG)


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        ([], (), "takes settings by name"),
        ("gold", (), "takes settings by name"),
        ({"tenant": {"tokens_per_minute": float("inf")}}, (), "takes settings by name"),
        ({"name": "gold"}, ("name",), "is said already, by what is set; leave it out"),
        ({"keys": {}}, ("keys",), "there is no such setting; did you mean key?"),
        ({"key": {"requests_per_minit": 5}}, ("key", "requests_per_minit"), "there is no such setting; did you mean"),
        ({"key": {"requests_per_minute": 0}}, ("key", "requests_per_minute"), "must be at least 1"),
        ({"key": {"requests_per_minute": True}}, ("key", "requests_per_minute"), "takes a whole number"),
        ({"key": {"requests_per_minute": 1.5}}, ("key", "requests_per_minute"), "takes a whole number"),
        ({"key": {"budgets": {"day": "0.1234567"}}}, ("key", "budgets", "day"), "takes at most 6 decimals"),
        ({"enforce": 1}, ("enforce",), "takes true or false"),
        ({"without_store": "opn"}, ("without_store",), "must be one of share, closed, open; did you mean open?"),
    ],
)
def test_every_mistake_has_its_path(given: Any, path: tuple[str | int, ...], said: str) -> None:
    with pytest.raises(Unfit) as refused:
        read_plan("gold", given)
    ((where, words),) = refused.value.found
    assert where == ("gold", *path)
    assert words.startswith(said)


@pytest.mark.parametrize(
    ("models", "path", "said"),
    [
        (["caht"], ("models", 0, "model"), "there is no model of that name"),
        (["chat", "chat"], ("models", 1, "model"), "this model is listed already"),
    ],
)
def test_it_goes_with_all_else(models: list[str], path: tuple[str | int, ...], said: str) -> None:
    plan = read_plan("gold", {"models": [{"model": model, "tokens_per_day": 1} for model in models]})
    with pytest.raises(Unfit) as refused:
        check_plan(plan, CONFIG)
    assert refused.value.found == [(path, said)]

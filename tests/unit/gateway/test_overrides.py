"""What was set holds over the file as far as it speaks of what the file has."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.config import Config, check
from gateway.overrides import Overrides


def config(**weights: float) -> Config:
    """Of one model `chat`, whose versions weigh so much."""
    models = [
        {"name": "chat", "engine": "scripted", "version": version.removeprefix("v"), "weight": weight}
        for version, weight in weights.items()
    ]
    return check({"models": models}, "test")


@pytest.mark.parametrize(
    ("given", "drained", "expected"),
    [
        (None, (), {"1": 3, "2": 1}),
        ({"1": 5, "2": 95}, (), {"1": 5, "2": 95}),
        ({"2": 7}, (), {"1": 0, "2": 7}),
        ({"2": 7, "3": 1}, (), {"1": 3, "2": 1}),
        ({}, (), {"1": 3, "2": 1}),
        (None, ("1",), {"1": 0, "2": 1}),
        (None, ("1", "3"), {"1": 0, "2": 1}),
        ({"1": 5}, ("1",), {"1": 5, "2": 0}),
        (None, ("1", "2"), {"1": 3, "2": 1}),
    ],
    ids=[
        "nothing set", "weights set", "one left out", "one that is not there: dropped whole", "none at all",
        "one drained", "one drained that is not there", "all that weighs drained", "all drained",
    ],
)  # fmt: skip
def test_what_versions_weigh(
    given: Mapping[str, float] | None, drained: tuple[str, ...], expected: Mapping[str, float]
) -> None:
    specs = config(v1=3, v2=1).models
    overrides = Overrides({} if given is None else {"chat": given}, {"chat": frozenset(drained)})
    assert overrides.shares("chat", specs) == expected
    assert [overrides.is_drained(spec) for spec in specs] == ["1" in drained, "2" in drained]


def test_what_does_not_fit_is_named_with_its_model() -> None:
    specs = config(v1=1, v2=1).models
    fitting = Overrides({"chat": {"1": 1}}, {"chat": frozenset({"2"})})
    assert list(fitting.misfits(specs)) == []
    odd = Overrides({"chat": {"1": 1, "3": 1}, "gone": {"1": 1}}, {"gone": frozenset({"1"}), "chat": frozenset("2")})
    assert set(odd.misfits(specs)) == {("weights", "chat"), ("weights", "gone"), ("drained", "gone")}

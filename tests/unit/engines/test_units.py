"""Durations and sizes may be written with units; a wrong one is told what is possible, without the value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines.units import DURATION, SIZE, Duration, Size


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    wait: Duration = Field(1.0, gt=0, le=3600)
    room: Size = Field(1024, ge=1, le=1 << 30)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30), ("5m", 300), ("500ms", 0.5), ("1h", 3600), ("1.5s", 1.5), ("2 s", 2), (" 2s ", 2),
        ("0.1ms", 0.0001),
        ("31", 31), ("0.25", 0.25), (30, 30), (0.75, 0.75),
    ],
)  # fmt: skip
def test_a_duration_is_seconds(written: Any, seconds: float) -> None:
    assert Options.model_validate({"wait": written}).wait == seconds


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("8MiB", 8 << 20), ("64KiB", 65536), ("1GiB", 1 << 30), ("1.5KiB", 1536), ("2MB", 2_000_000), ("3kB", 3000),
        ("12B", 12), ("1000", 1000), (1001, 1001),
    ],
)  # fmt: skip
def test_a_size_is_bytes(written: Any, count: int) -> None:
    assert Options.model_validate({"room": written}).room == count


@pytest.mark.parametrize("written", ["5x", "5S", "5 min", "-5s", "s", "", "5s5s", "1e3s", "٣s", "9" * 400 + "s", True])
def test_a_wrong_duration_is_told_the_units(written: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"wait": written})
    [found] = caught.value.errors()
    assert found["msg"] == "Value error, takes seconds, or a number with a unit: ms, s, m or h"


@pytest.mark.parametrize("written", ["8M", "8Mi", "8mib", "8 bytes", "-1KiB", False])
def test_a_wrong_size_is_told_the_units(written: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"room": written})
    [found] = caught.value.errors()
    assert found["msg"] == "Value error, takes bytes, or a number with a unit: B, kB, KiB, MB, MiB, GB or GiB"


@pytest.mark.parametrize("tree", [{"wait": "0s"}, {"wait": "2h"}, {"room": "2GiB"}, {"room": "0.3KiB"}, {"wait": None}])
def test_the_bounds_of_a_setting_hold_whatever_its_unit(tree: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(tree)


@given(st.integers(0, 86_400_000))
def test_a_duration_is_read_as_it_is_written(milliseconds: int) -> None:
    assert DURATION.read(DURATION.write(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 1 << 40))
def test_a_size_is_read_as_it_is_written(count: int) -> None:
    assert SIZE.read(SIZE.write(count)) == count


@pytest.mark.parametrize(("seconds", "written"), [(120.0, "2m"), (0.5, "500ms"), (75.0, "75s"), (0, "0"), (3600, "1h")])
def test_a_duration_is_written_in_the_largest_unit_that_fits(seconds: float, written: str) -> None:
    assert DURATION.write(seconds) == written

"""How limits stand, as OpenAI's clients read it."""

from __future__ import annotations

import pytest

from gateway.rate_headers import lines, span
from security.limits.api import SECOND, Bucket, Decision, Quota, Unit

NOW = 5 * SECOND


def bucket(unit: Unit, limit: int, *, burst: int = 0, enforce: bool = True) -> Bucket:
    return Bucket(f"{unit}{limit}", unit, limit, 60.0, burst, enforce)


def told(*standing: tuple[Bucket, float]) -> dict[str, str]:
    """Of buckets that are as if never used so many seconds from now."""
    buckets = tuple(one for one, _ in standing)
    tats = [NOW + round(full_in * SECOND) for _, full_in in standing]
    found = lines(Quota("acme", buckets), Decision(NOW, tats, [0] * len(tats), ())).decode()
    assert found == "" or found.endswith("\r\n")
    return dict(line.split(": ") for line in found.splitlines())


def test_requests_and_tokens_are_told_each_for_itself() -> None:
    assert told((bucket("requests", 600), 0.1), (bucket("tokens", 1000), 61.0)) == {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "599",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m1s",
    }


@pytest.mark.parametrize("turn", [1, -1])
def test_of_several_limits_the_one_that_has_least_left_is_told(turn: int) -> None:
    """Input, output, all tokens and a day's are of one kind; in whatever order they come."""
    several = [
        (bucket("input_tokens", 100), 6.0),
        (bucket("output_tokens", 600), 53.0),
        (bucket("tokens", 200), 36.0),
        (bucket("tokens", 90_000), 59.95),
    ]
    assert told(*several[::turn]) == {
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": "70",
        "x-ratelimit-reset-tokens": "53s",
    }


def test_a_limit_that_is_only_tried_is_not_told() -> None:
    assert told((bucket("tokens", 100, enforce=False), 50.0), (bucket("tokens", 1000), 0.0)) == {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "1000",
        "x-ratelimit-reset-tokens": "0ms",
    }


def test_what_can_be_asked_for_at_once_is_the_limit_that_is_told() -> None:
    assert told((bucket("tokens", 1000, burst=50), 0.6))["x-ratelimit-limit-tokens"] == "50"


def test_where_nothing_binds_nothing_is_told() -> None:
    assert told() == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.000001, "1ms"),
        (0.02, "20ms"),
        (0.9991, "1000ms"),
        (1.0, "1s"),
        (1.5, "1.5s"),
        (1.4999, "1.5s"),
        (12.3456, "12.346s"),
        (59.0001, "1m0s"),
        (60.0, "1m0s"),
        (360.0, "6m0s"),
        (360.0001, "6m1s"),
        (3599.5, "1h0m0s"),
        (86_344.0, "23h59m4s"),
        (30 * 86_400.0, "720h0m0s"),
    ],
)
def test_a_time_is_rounded_up(seconds: float, text: str) -> None:
    assert span(seconds) == text.encode()

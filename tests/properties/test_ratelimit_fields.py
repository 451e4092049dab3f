"""What the IETF's fields say is well-formed and true: what is told to be left passes at once, and no unit more."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.quotas import MOST, Plan
from gateway.errors import problem
from gateway.quotas import described, quota_of
from gateway.ratelimit_fields import RateLimitFields
from security.limits.api import Bucket, Cost, Decision, NeverFits, OverLimit, Quota, Slots, Unit
from security.limits.local import LocalLimiter
from tests.support.structured_fields import Item, parsed

COUNTED: Final[Mapping[Unit, Callable[[int], Cost]]] = {
    "requests": Cost,
    "input_tokens": lambda units: Cost(0, units),
    "output_tokens": lambda units: Cost(0, 0, units),
    "tokens": lambda units: Cost(0, units),
}
limits = st.sampled_from([
    "requests_per_minute", "input_tokens_per_minute", "output_tokens_per_minute", "tokens_per_minute",
    "tokens_per_day", "concurrent_requests",
])  # fmt: skip
amounts = st.integers(1, 3000) | st.sampled_from([60, 86_400, 10**9, MOST])
allowances = st.dictionaries(limits, amounts, max_size=4)
costs = st.builds(Cost, st.integers(0, 3), st.integers(0, 2000), st.integers(0, 2000))
names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=9)


def fields(told: bytes) -> dict[str, list[Item]]:
    """By name; each comes once."""
    found = [line.split(": ", 1) for line in told.decode("ascii").splitlines()]
    assert len({name for name, _ in found}) == len(found)
    return {name: parsed(value) for name, value in found}


def passes(limiter: LocalLimiter, bucket: Bucket, units: int) -> bool:
    """Whether so many would now, of which nothing is taken."""
    try:
        with limiter.take(Quota("acme", (bucket,)), COUNTED[bucket.unit](units)):
            return True
    except (OverLimit, NeverFits):
        return False


def decided(limiter: LocalLimiter, quota: Quota, asked: Cost) -> tuple[Decision, int | None]:
    """On a request that goes on after that; and what a refusal has for Retry-After."""
    try:
        return limiter.take(quota, asked).decision, None
    except OverLimit as over:
        told = re.search(rb"retry-after: (\d+)\r\n", problem(over).lines)
        assert told
        return over.decision, int(told[1])


def check_policy(policy: Item, limit: Bucket | Slots, model: str) -> None:
    """Of all that it says."""
    holder, name = described(limit)
    unit = "concurrent_requests" if isinstance(limit, Slots) else limit.unit
    expected = {
        "q": limit.limit,
        "qu": None if unit == "requests" else unit.replace("_", "-"),
        "w": None if isinstance(limit, Slots) else int(limit.window),
        "pk": model.encode() if holder == "model" else None,
    }
    assert policy == Item(f"{holder}:{name}", {key: value for key, value in expected.items() if value is not None})


@given(
    plan=st.fixed_dictionaries({"key": allowances, "tenant": allowances, "model": allowances}),
    model=names,
    spent=st.lists(st.tuples(costs, costs), max_size=5),
    asked=costs,
    later=st.sampled_from([0, 0.3, 7, 59.5]),
)
def test_it_is_well_formed_and_true(
    plan: dict[str, dict[str, int]], model: str, spent: list[tuple[Cost, Cost]], asked: Cost, later: float
) -> None:
    of_model = {"models": [{"model": model, **plan.pop("model")}]}
    quota = quota_of(Plan.model_validate({"name": "p", **plan, **of_model}), "acme", "k1", model) or Quota("acme")
    clock = [1000.0]
    limiter = LocalLimiter(lambda: clock[0])
    for expected, actual in spent:
        try:
            limiter.take(quota, expected).settle(actual)
        except (OverLimit, NeverFits):
            continue
    clock[0] += later
    try:
        decision, retry_after = decided(limiter, quota, asked)
    except NeverFits:
        return
    told = fields(RateLimitFields().lines(quota, decision))
    policies, standing = told.get("ratelimit-policy", []), told.get("ratelimit", [])
    bounds: list[Bucket | Slots] = [*quota.buckets, *quota.slots]
    for policy, limit in zip(policies, bounds, strict=True):
        check_policy(policy, limit, model)
    for item, policy, bucket in zip(standing, policies, quota.buckets, strict=False):
        left, window = item.parameters.pop("r"), item.parameters.pop("t")
        assert isinstance(left, int)
        assert isinstance(window, int)
        assert (item.value, item.parameters.get("pk")) == (policy.value, policy.parameters.get("pk"))
        assert 0 <= left <= bucket.limit
        assert left == 0 or passes(limiter, bucket, left)
        assert left == bucket.limit or not passes(limiter, bucket, left + 1)
        assert 1 <= window <= (retry_after or window)
        if retry_after is None:
            check_window(limiter, clock, bucket, window)
    assert len(standing) == len(quota.buckets)


def check_window(limiter: LocalLimiter, clock: list[float], bucket: Bucket, window: int) -> None:
    """All of it is there at its end, and was not a second before."""
    now = clock[0]
    clock[0] = now + window
    assert passes(limiter, bucket, bucket.limit)
    clock[0] = now + window - 1
    assert window == 1 or not passes(limiter, bucket, bucket.limit)
    clock[0] = now

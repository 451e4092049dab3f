"""What callers are told of their limits: whose and which one it is, and when to come again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Final

from gateway.pricing import decimal
from gateway.quotas import NOBODY, described, named
from security.limits.api import Limit, NeverFits, OverLimit, Slots, Unit, key
from security.limits.budget import Budget

_PLAIN: Final = 1e6
"""Seconds from which a number is no longer said with six digits."""
_EVERYBODY: Final = key(NOBODY, "")
_SHOWN: Final = {"jwt": "the token subject's", "mesh": "the mesh identity's"}
"""In place of a key, by how their ids begin."""
_LESS: Final[Mapping[Unit, str]] = {
    "requests": "raise the limit",
    "input_tokens": "shorten the prompt",
    "output_tokens": "lower max_tokens or n",
    "tokens": "lower max_tokens or n, or shorten the prompt",
}
"""What has a request take less."""


def over(error: OverLimit) -> str:
    """Of slots nobody knows when one is free."""
    wait = f"{ceil(error.wait * 1000) / 1000:g} s" if error.wait < _PLAIN else f"{ceil(error.wait)} s"
    then = f"ask again in {wait}" if isinstance(error.limit, Slots) else f"there is room again in {wait}"
    few = ", fewer than this request may take" if error.remaining else ""
    return f"Over {_spoken(error.limit)} ({error.remaining} are left{few}); {then}."


def never(error: NeverFits) -> str:
    bucket = error.bucket
    return f"The request takes {error.asked} at once, more than {_spoken(bucket)} ever allows; {_LESS[bucket.unit]}."


def unpaid(budget: Budget, left: int) -> str:
    """`left`: millionths."""
    of_model = " for this model" if described(budget)[0] == "model" else ""
    anew = f"{datetime.fromtimestamp(budget.ends, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return (
        f"What is left of {whose(budget)} budget of {_money(budget.limit)} a {budget.period}{of_model} "
        f"({_money(left)}) does not pay for this request; it begins anew at {anew}."
    )


def whose(limit: Limit) -> str:
    """Such as `the key's`, or of what they showed in its place."""
    if limit.key.startswith(_EVERYBODY):
        return "everybody's"
    if described(limit)[0] != "key":
        return "the tenant's"
    return _SHOWN.get(named(limit).partition(":")[0], "the key's")


def _spoken(limit: Limit) -> str:
    """Such as `the tenant's limit of 600 requests per minute for this model`."""
    holder, name = described(limit)
    of_model = " for this model" if holder == "model" else ""
    return f"{whose(limit)} limit of {limit.limit} {name.replace('_', ' ')}{of_model}"


def _money(millionths: int) -> str:
    """With two decimals at least."""
    text = decimal(millionths)
    return text[:-4] + text[-4:].rstrip("0")

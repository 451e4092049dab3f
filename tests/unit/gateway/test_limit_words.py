"""What callers are told of a limit that they are over."""

from __future__ import annotations

import pytest

from gateway import limit_words
from security.limits.api import SECOND, Bucket, Decision, OverLimit, Quota, key

BUCKET = Bucket(key("acme", "key", "k1", "tokens_per_minute"), "tokens", 300, 60)


@pytest.mark.parametrize(("wait", "said"), [(0.0205, "0.021"), (34127.9991, "34128"), (6_829_060.25, "6829061")])
def test_a_wait_is_said_in_plain_figures(wait: float, said: str) -> None:
    refused = Decision(0, [0], [None], (), refused_by=BUCKET, wait=round(wait * SECOND))
    assert limit_words.over(OverLimit(Quota("acme", (BUCKET,)), refused)).endswith(f"there is room again in {said} s.")


@pytest.mark.parametrize(
    ("level", "left"),
    [(15, "225 are left, fewer than this request may take"), (60, "0 are left")],
)
def test_where_some_is_left_it_is_said_that_it_is_too_little(level: int, left: str) -> None:
    now = 1_000_000 * SECOND
    refused = Decision(now, [now + level * SECOND], [None], (), refused_by=BUCKET, wait=11 * SECOND)
    told = limit_words.over(OverLimit(Quota("acme", (BUCKET,)), refused))
    assert told == f"Over the key's limit of 300 tokens per minute ({left}); there is room again in 11 s."

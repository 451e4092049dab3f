"""How a caller's limits stand, in the headers that OpenAI's clients read."""

from __future__ import annotations

from math import ceil

from security.limits.api import SECOND, Bucket, Decision, Quota

_REQUESTS, _TOKENS = (
    b"x-ratelimit-limit-%b: %%d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (kind, kind, kind)
    for kind in (b"requests", b"tokens")
)


def lines(quota: Quota, decision: Decision) -> bytes:
    """Header lines: of requests and of tokens, each the limit that has least left, of those that are enforced."""
    now = decision.now
    requests: tuple[int, int, Bucket] | None = None
    tokens: tuple[int, int, Bucket] | None = None
    for bucket, tat in zip(quota.buckets, decision.tats, strict=True):
        if bucket.enforce:
            level = tat - now if tat > now else 0
            left = bucket.left(level)
            if bucket.unit == "requests":
                if requests is None or left < requests[0]:
                    requests = left, level, bucket
            elif tokens is None or left < tokens[0]:
                tokens = left, level, bucket
    told = b"" if requests is None else _told(_REQUESTS, *requests)
    return told if tokens is None else told + _told(_TOKENS, *tokens)


def _told(form: bytes, left: int, level: int, bucket: Bucket) -> bytes:
    return form % (bucket.burst, left, span(level / SECOND))


def whole_seconds(wait: float) -> int:
    """As Retry-After tells it: clients read whole seconds, ignore more than 120, and must not come back too early."""
    return min(120, max(1, ceil(wait)))


def span(seconds: float) -> bytes:
    """As `20ms`, `1.5s`, `6m0s` or `23h59m4s`: rounded up, as who comes too early comes in vain."""
    milliseconds = ceil(seconds * 1000)
    if seconds < 1:
        return b"%dms" % milliseconds
    minutes, rest = divmod(ceil(seconds), 60)
    if not minutes:
        return b"%gs" % (milliseconds / 1000)
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest) if hours else b"%dm%ds" % (minutes, rest)

"""How a caller's limits stand, in RateLimit-Policy and RateLimit: draft-ietf-httpapi-ratelimit-headers-11."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from typing import Final

from gateway import rate_headers
from gateway.quotas import described, named
from gateway.rate_headers import whole_seconds
from security.limits.api import SECOND, Bucket, Decision, Quota, Slots

KNOWN: Final = 4096
"""Limits whose items are not spelled anew."""


def lines(quota: Quota, decision: Decision) -> bytes:
    """Header lines: every limit that is enforced, and how it stands if it is one that drains.

    The window is until all of it is there again; in a refusal it ends no later than Retry-After, as the draft wants it.
    """
    now, policies, standing = decision.now, [], []
    latest = None if decision.refused_by is None else whole_seconds(decision.wait / SECOND)
    for bucket, tat in zip(quota.buckets, decision.tats, strict=True):
        if bucket.enforce:
            level = tat - now if tat > now else 0
            window = max(1, -(-level // SECOND))
            policy, form = _items(bucket)
            policies.append(policy)
            standing.append(form % (bucket.left(level), window if latest is None else min(window, latest)))
    policies += [_items(slots)[0] for slots in quota.slots if slots.enforce]
    told = b"ratelimit-policy: %b\r\n" % b", ".join(policies) if policies else b""
    return told + b"ratelimit: %b\r\n" % b", ".join(standing) if standing else told


def both(quota: Quota, decision: Decision) -> bytes:
    """Beside the headers of OpenAI."""
    return rate_headers.lines(quota, decision) + lines(quota, decision)


@lru_cache(maxsize=KNOWN)
def _items(limit: Bucket | Slots) -> tuple[bytes, bytes]:
    """A limit's policy, and the form of how it stands, for what is left and the window in seconds.

    A model's partition key is its name: another one's limits have the same names. Of units the draft has registered
    none for tokens, and what has none counts requests.
    """
    holder, bounds = described(limit)
    name = f'"{holder}:{bounds}"'
    partition = f";pk=:{b64encode(named(limit).encode()).decode()}:" if holder == "model" else ""
    if isinstance(limit, Slots):
        return f'{name};q={limit.limit};qu="concurrent-requests"{partition}'.encode(), b""
    unit = "" if limit.unit == "requests" else f';qu="{limit.unit.replace("_", "-")}"'
    policy = f"{name};q={limit.burst}{unit};w={round(limit.window)}{partition}"
    return policy.encode(), f"{name};r=%d;t=%d{partition}".encode()

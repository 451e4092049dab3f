"""How a caller's limits stand, in RateLimit-Policy and RateLimit: draft-ietf-httpapi-ratelimit-headers-11."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from gateway import rate_headers
from gateway.quotas import described, named
from gateway.rate_headers import whole_seconds
from security.limits.api import SECOND, Bucket, Decision, Quota, Slots

KNOWN: Final = 4096
"""Quotas that are not spelled anew: when there are more, all are once again."""


@dataclass(slots=True, frozen=True)
class _Form:
    """What does not change of a quota's lines: its policies, and how it stands but for the numbers."""

    quota: Quota
    """Kept, as no other one has its id then."""
    policies: bytes
    standing: bytes


class RateLimitFields:
    """Each quota's own part is spelled once, and used for each of its requests."""

    def __init__(self) -> None:
        self._forms: dict[int, _Form] = {}

    def __repr__(self) -> str:
        return f"<RateLimitFields of {len(self._forms)} quotas>"

    def both(self, quota: Quota, decision: Decision) -> bytes:
        """Beside the headers of OpenAI."""
        return rate_headers.lines(quota, decision) + self.lines(quota, decision)

    def lines(self, quota: Quota, decision: Decision) -> bytes:
        """Header lines: every limit that is enforced, and how it stands if it is one that drains.

        The window is until all of it is there again; in a refusal with Retry-After it ends no later than that, as the
        draft wants it.
        """
        form = self._forms.get(id(quota)) or self._learn(quota)
        numbers: list[int] = []
        now = decision.now
        latest = whole_seconds(decision.wait / SECOND) if decision.wait else None
        for bucket, tat in zip(quota.buckets, decision.tats, strict=True):
            if bucket.enforce:
                level = tat - now if tat > now else 0
                window = -(-level // SECOND) or 1
                numbers += bucket.left(level), window if latest is None or window < latest else latest
        return form.policies + form.standing % tuple(numbers)

    def _learn(self, quota: Quota) -> _Form:
        if len(self._forms) >= KNOWN:
            self._forms.clear()
        buckets = [bucket for bucket in quota.buckets if bucket.enforce]
        limits: list[Bucket | Slots] = [*buckets, *(slots for slots in quota.slots if slots.enforce)]
        form = _Form(
            quota,
            _line("ratelimit-policy", [_policy(limit) for limit in limits]),
            _line("ratelimit", [f"{_name(bucket)};r=%d;t=%d{_partition(bucket)}" for bucket in buckets]),
        )
        self._forms[id(quota)] = form
        return form


def _line(name: str, items: list[str]) -> bytes:
    return f"{name}: {', '.join(items)}\r\n".encode() if items else b""


def _policy(limit: Bucket | Slots) -> str:
    """Of units the draft has registered none for tokens, and what has none counts requests."""
    if isinstance(limit, Slots):
        return f'{_name(limit)};q={limit.limit};qu="concurrent-requests"{_partition(limit)}'
    unit = "" if limit.unit == "requests" else f';qu="{limit.unit.replace("_", "-")}"'
    return f"{_name(limit)};q={limit.burst}{unit};w={round(limit.window)}{_partition(limit)}"


def _name(limit: Bucket | Slots) -> str:
    return '"{}:{}"'.format(*described(limit))


def _partition(limit: Bucket | Slots) -> str:
    """A model's key is its name: another one's limits are called the same."""
    if described(limit)[0] != "model":
        return ""
    return f";pk=:{b64encode(named(limit).encode()).decode()}:"

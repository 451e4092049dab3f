"""How long an answer may become until a limit of its caller has nothing left for it. Pure."""

from __future__ import annotations

from security.limits.api import Reservation


def left_for_output(reservation: Reservation, reserved: int) -> int | None:
    """Tokens: the `reserved` ones, and what was left besides when they were; None: no limit on tokens binds it.

    Others may take of what was left meanwhile. So a limit comes into debt by no more than what is under way at a time
    may come to. Limits that are not enforced, and those of which nothing was taken, don't count.
    """
    decision, least = reservation.decision, None
    for bucket, tat, paid in zip(reservation.quota.buckets, decision.tats, decision.paid, strict=True):
        if bucket.enforce and paid is not None and bucket.unit in ("output_tokens", "tokens"):
            left = bucket.left(max(0, tat - decision.now))
            least = left if least is None else min(least, left)
    return None if least is None else reserved + least

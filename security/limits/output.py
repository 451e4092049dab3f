"""How long an answer may become until a limit of its caller has nothing left for it. Pure."""

from __future__ import annotations

from security.limits.api import Reservation, standings


def left_for_output(reservation: Reservation, reserved: int) -> int | None:
    """Tokens: the `reserved` ones, and what was left besides when they were; None: no limit on tokens binds it.

    Others may take of what was left meanwhile. So a limit comes into debt by no more than what is under way at a time
    may come to. Limits that are not enforced, and those of which nothing was taken, don't count.
    """
    quota, decision = reservation.quota, reservation.decision
    charged = {bucket.key for bucket, paid in zip(quota.buckets, decision.paid, strict=True) if paid is not None}
    least = [
        standing.remaining
        for standing in standings(quota, decision)
        if standing.bucket.unit in ("output_tokens", "tokens") and standing.bucket.key in charged
    ]
    return reserved + min(least) if least else None

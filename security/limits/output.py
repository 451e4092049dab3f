"""How much longer an answer may become than expected until a limit of its caller has nothing left for it. Pure.

Others may take of what was left meanwhile: a limit comes into debt by no more than what is under way at a time may come
to. Limits that are not enforced, and those of which nothing was taken, don't count.
"""

from __future__ import annotations

from security.limits.api import Reservation


def left_for_output(reservation: Reservation) -> int | None:
    """Tokens that were left besides those reserved; None: no limit on tokens binds it."""
    decision, least = reservation.decision, None
    for bucket, tat, paid in zip(reservation.quota.buckets, decision.tats, decision.paid, strict=True):
        if bucket.enforce and paid is not None and bucket.unit in ("output_tokens", "tokens"):
            left = bucket.left(max(0, tat - decision.now))
            least = left if least is None else min(least, left)
    return least


def left_to_spend(reservation: Reservation) -> int | None:
    """Millionths that were left besides those held; None: no budget binds it."""
    levels = zip(reservation.quota.budgets, reservation.decision.spent, strict=False)  # none without a store
    left = [max(0, budget.limit - spent) for budget, spent in levels if budget.enforce]
    return min(left) if left else None

"""What a decision about limits is: the generic cell rate algorithm over several buckets, and slots. Pure.

A bucket is one number, its theoretical arrival time (TAT): when all that was taken of it will have drained. It is full
again once the clock is there, and has no more room once it would be further ahead than its burst takes to drain. All
is counted in whole microseconds, charges rounded up, so that `limits.lua` comes to the very same numbers.

With that, of requests admitted in any time of W seconds, no more is used than limit/window x W + burst, but for what
had been reserved too much at its begin and is given back within, and what they use beyond their reservations, which
later ones wait for.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence

from security.limits.api import MOST, SECOND, Bucket, Cost, Decision, NeverFits, Quota, Slots

SLOT_WAIT = 1 * SECOND
"""After which to ask again for a slot."""


def charges(quota: Quota, cost: Cost) -> list[int]:
    """Microseconds by which each bucket would move on."""
    amounts = cost.amounts
    return [-(-amounts[bucket.nth] * bucket.period // bucket.limit) for bucket in quota.buckets]


def owes(quota: Quota, actual: Cost) -> list[int]:
    """The same, whatever a model server said that was used."""
    return [
        0 if micros < 0 else micros if micros < MOST else MOST  # noqa: FURB136  # a fifth of the cost of min and max
        for micros in charges(quota, actual)
    ]


def refuse_misfits(quota: Quota, asked: Sequence[int]) -> None:
    """Raises NeverFits for what no bucket that is enforced will ever have room for."""
    for bucket, micros in zip(quota.buckets, asked, strict=True):
        if micros > bucket.span and bucket.enforce:
            raise NeverFits(bucket, micros * bucket.limit // bucket.period)


def fit(quota: Quota, cost: Cost, tats: Mapping[str, int], used: Mapping[str, int], now: int) -> Decision | None:
    """As most requests are decided: in one go. None: something is in the way, and `reserve` is to say what that means.

    `tats` and `used` are those of buckets and slots, by their keys.
    """
    amounts = cost.amounts
    asked: list[int] = []
    moved: list[int] = []
    for bucket in quota.buckets:
        micros = -(-amounts[bucket.nth] * bucket.period // bucket.limit)
        tat = tats.get(bucket.key, 0)
        moved_to = (tat if tat > now else now) + micros  # noqa: FURB136  # a fifth of the cost of max
        if moved_to - now > bucket.span and micros:
            return None
        asked.append(micros)
        moved.append(moved_to)
    for slots in quota.slots:
        if used.get(slots.key, 0) >= slots.limit:
            return None
    return Decision(now, moved, asked, quota.slots)


def reserve(quota: Quota, asked: Sequence[int], tats: Sequence[int], used: Sequence[int], now: int) -> Decision:
    """First everything is checked, then everything taken. `tats` and `used` are those of its buckets and slots.

    What a request takes nothing of does not bind it. Raises NeverFits.
    """
    refuse_misfits(quota, asked)
    paid: list[int | None] = []
    waived: list[Bucket | Slots] = []
    held: list[Slots] = []
    refused_by: Bucket | Slots | None = None
    wait = 0
    for bucket, micros, tat in zip(quota.buckets, asked, tats, strict=True):
        over = max(tat - now, 0) + micros - bucket.span if micros else 0
        if over > 0 and not bucket.enforce:
            waived.append(bucket)
            paid.append(None)
            continue
        if over > wait:
            wait, refused_by = over, bucket
        paid.append(micros)
    for slots, busy in zip(quota.slots, used, strict=True):
        if busy < slots.limit:
            held.append(slots)
        elif not slots.enforce:
            waived.append(slots)
        elif wait < SLOT_WAIT:
            wait, refused_by = SLOT_WAIT, slots
    if refused_by is not None:
        return Decision(now, tats, (), (), refused_by=refused_by, wait=wait)
    moved = [max(tat, now) + (micros or 0) for tat, micros in zip(tats, paid, strict=True)]
    return Decision(now, moved, paid, held, waived)


def settle(quota: Quota, paid: Sequence[int | None], actual: Cost, tats: MutableMapping[str, int], now: int) -> None:
    """Has the buckets of a request that paid so much where they are with what it turns out to owe.

    A bucket that is gone had drained, or was lost: giving back to it would let too much pass.
    """
    amounts = actual.amounts
    for bucket, micros in zip(quota.buckets, paid, strict=True):
        if micros is None:
            continue
        owed = -(-amounts[bucket.nth] * bucket.period // bucket.limit)
        if owed < 0:
            owed = 0
        tat = tats.get(bucket.key)
        if owed > micros:
            tats[bucket.key] = min(max(tat or 0, now) + min(owed, MOST) - micros, now + MOST)
        elif owed < micros and tat is not None:
            tats[bucket.key] = tat - micros + owed

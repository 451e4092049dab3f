"""What `limits.lua` is told, and what its answers mean."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from security.limits.api import SECOND, Cost, Decision, Limit, Quota, key
from security.limits.budget import Budget
from security.limits.gcra import owes
from security.limits.limiter import Levels
from security.limits.purse import KEPT
from security.limits.readings import Reading
from security.limits.spending import costs

KNOWN = 3_600_000
"""Milliseconds for which a reservation can be settled. Whatever takes longer has drained from most buckets."""
PAYABLE = 90_000_000
"""The same of one that holds money, which does not drain: no request lasts for longer than a day."""
UNREAD = -2
"""How the answer begins where nothing is known of a budget, whose number then follows: nothing was taken."""
BARRED = 60_000
"""Milliseconds for which a reservation that was taken back before it arrived must not come any more."""
PORTION = 500
"""Calls that are made up and told at a time: they take the loop a few milliseconds."""
LASTS = 30.0
"""Seconds for which a slot is taken unless it is renewed: after that, those of a gateway that crashed are free."""

Argument = str | int
T = TypeVar("T")


class Call(NamedTuple):
    """One run of the script."""

    keys: Sequence[str]
    arguments: Sequence[Argument]


def text() -> str:
    """The script. Reads a file."""
    return Path(__file__).with_name("limits.lua").read_text(encoding="utf-8")


def reserve(  # all that is taken
    quota: Quota, asked: Sequence[int], advance: Sequence[int], name: str, now: int, money: int = 0
) -> Call:
    """`advance`: of each bucket to be taken besides, as far as there is room, or nothing. `name`: the reservation's.

    `now`: microseconds, where a test says what time it is; else 0, for the server's. `money`: to be held of budgets.
    """
    keys = [_reservation(quota, name)]
    known = BARRED if advance else KNOWN  # who takes in advance has nothing settled, at most taken back
    arguments: list[Argument] = ["reserve", now, name, known, int(LASTS * SECOND), len(asked)]
    for bucket, micros in zip(quota.buckets, asked, strict=True):
        keys.append(bucket.key)
        arguments += (micros, bucket.span, int(bucket.enforce))
    for slots in quota.slots:
        keys.append(slots.key)
        arguments += (slots.limit, int(slots.enforce))
    arguments += advance
    if quota.budgets:
        arguments[0], arguments[3] = "spend", PAYABLE
        for budget in quota.budgets:
            keys.append(budget.key)
            arguments += (budget.limit, int(budget.enforce))
        arguments += (money, len(quota.budgets))
    return Call(keys, arguments)


def decision(
    quota: Quota, asked: Sequence[int], reply: Sequence[int], money: int = 0
) -> tuple[Decision, Sequence[int]]:
    """What the answer to that means, as of the time 0; and what was taken in advance. `UNREAD` means nothing."""
    who, wait, waived, *rest = reply
    levels, granted, spent = rest[: len(asked)], rest[len(asked) :], rest[len(rest) - len(quota.budgets) :]
    if spent:
        granted = []
    limits: tuple[Limit, ...] = (*quota.buckets, *quota.slots, *quota.budgets)
    if who:
        return Decision(0, levels, (), (), refused_by=limits[who - 1], wait=wait, spent=spent), ()
    if not waived:
        return Decision(0, levels, asked, quota.slots, money=money, spent=spent), granted
    left_out = [limit for number, limit in enumerate(limits) if waived >> number & 1]
    paid = [None if bucket in left_out else micros for bucket, micros in zip(quota.buckets, asked, strict=True)]
    held = [slots for slots in quota.slots if slots not in left_out]
    return Decision(0, levels, paid, held, left_out, money=money, spent=spent), granted


def settle(quota: Quota, paid: Sequence[int | None], owed: Sequence[int], name: str, now: int, barred: int = 0) -> Call:
    """To be told as often as need be: the first one counts. `barred`: milliseconds for which it must not come after."""
    arguments: list[Argument] = ["settle", now, name, barred, len(paid)]
    for micros, more in zip(paid, owed, strict=True):
        arguments += (0, 0) if micros is None else (micros, more)
    keys = [_reservation(quota, name)]
    keys += [bucket.key for bucket in quota.buckets]
    keys += [slots.key for slots in quota.slots]
    return Call(keys, arguments)


def take_back(quota: Quota, asked: Sequence[int], name: str, now: int, money: int = 0) -> Call:
    """A reservation of which nobody knows whether it has been made, or will be."""
    call = settle(quota, asked, [0] * len(asked), name, now, BARRED)
    return _pay(call, quota, money, 0, (0, 0)) if quota.budgets else call


def pay(  # as settle, and when
    quota: Quota, decision: Decision, actual: Cost, name: str, now: int, lasted: tuple[int, int]
) -> Call:
    """The same with budgets. `lasted`: from when until when, in Unix time and microseconds."""
    call = settle(quota, decision.paid, owes(quota, actual), name, now)
    return _pay(call, quota, decision.money, costs(actual), lasted)


def know(budget: Budget, reading: Reading) -> Call:
    """What the ledger says of it, which counts where nothing is known."""
    left = max(0, budget.ends - reading.at // SECOND) + KEPT
    return Call([budget.key], ["know", 0, reading.spent, reading.at, 1000 * left])


def charge(quota: Quota, micros: Sequence[int], name: str, now: int) -> Call:
    """What was used without asking; below 0 it is given back. Counts once for a `name`."""
    return Call([_reservation(quota, name), *(bucket.key for bucket in quota.buckets)], ["charge", now, KNOWN, *micros])


def beat(slots: str, names: Collection[str], now: int) -> Call:
    """These reservations go on; `slots` is the key."""
    return Call([slots], ["beat", now, int(LASTS * SECOND), *names])


def free(slots: str, names: Collection[str]) -> Call:
    """These reservations have ended."""
    return Call([slots], ["free", 0, *names])


def levels(quota: Quota, now: int) -> Call:
    """How all of its limits stand; answered by a number for each."""
    keys = [bucket.key for bucket in quota.buckets]
    keys += [slots.key for slots in quota.slots]
    keys += [budget.key for budget in quota.budgets]
    return Call(keys, ["levels", now, len(quota.buckets), len(quota.slots)])


def told(quota: Quota, reply: Sequence[int], gateways: int) -> Levels:
    """What the answer to that means."""
    buckets = len(quota.buckets)
    slots = buckets + len(quota.slots)
    spent = [None if known < 0 else known for known in reply[slots:]]
    return Levels("shared", gateways, reply[:buckets], reply[buckets:slots], spent)


def _pay(call: Call, quota: Quota, held: int, owed: int, lasted: tuple[int, int]) -> Call:
    keys = [*call.keys, *(budget.key for budget in quota.budgets)]
    return Call(keys, ["pay", *call.arguments[1:], held, owed, *lasted, len(quota.budgets)])


def _reservation(quota: Quota, name: str) -> str:
    return key(quota.tenant, "held", name)


def portions(them: Iterable[T]) -> Iterator[list[T]]:
    """What many calls are to be made of, so many at a time."""
    rest = iter(them)
    while portion := list(islice(rest, PORTION)):
        yield portion

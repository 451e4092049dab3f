"""Busy limits are drawn on here; what is drawn, given back and owed adds up to what was taken in advance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from security.limits.api import SECOND, Bucket, Cost, Decision, Limit, Quota, Slots
from security.limits.gcra import charges
from security.limits.known import Known
from security.limits.leases import BUSY, CHUNK, IDLE, TOGETHER, Leases, together

TPM, RPM = Bucket("tpm", "tokens", 600, 60.0), Bucket("rpm", "requests", 600, 60.0)
QUOTA = Quota("acme", (RPM, TPM))


class Desk:
    """Leases on a clock. A token takes 100 ms to drain, a request, too."""

    def __init__(self) -> None:
        self.clock = [100.0]
        self.leases = Leases(Known(lambda: self.clock[0]))

    def take(self, tokens: int, quota: Quota = QUOTA) -> Decision | None:
        return self.leases.take(quota, charges(quota, Cost(1, tokens)))

    def wanted(self) -> list[int]:
        """By a question that is answered."""
        wanted = self.leases.wanted(QUOTA, [5, 5], 1)
        self.leases.answered(QUOTA, wanted)
        return wanted

    def made_busy(self) -> None:
        for _ in range(BUSY):
            self.take(1)


def refusal(quota: Quota, limit: Limit, room: int = 0) -> Decision:
    """By a store in which each bucket has so much room."""
    return Decision(0, [bucket.span - room for bucket in quota.buckets], (), (), refused_by=limit)


def test_only_busy_limits_are_taken_in_advance() -> None:
    desk = Desk()
    for _ in range(BUSY - 1):
        assert desk.take(1) is None
    assert desk.leases.wanted(QUOTA, [5, 5], 1) == []
    desk.take(1)
    assert desk.wanted() == [CHUNK, CHUNK]
    desk.clock[0] += 1
    desk.take(1)
    assert desk.wanted() == [CHUNK, CHUNK], "the second before counts"
    desk.clock[0] += 2
    desk.take(1)
    assert desk.leases.wanted(QUOTA, [5, 5], 1) == []


def test_of_a_bucket_one_question_at_a_time_takes_in_advance() -> None:
    desk = Desk()
    desk.made_busy()
    other = Quota("acme", (TPM, Bucket("other", "tokens", 600, 60.0)))
    assert desk.leases.wanted(QUOTA, [5, 0], 1) == [CHUNK, 0]
    assert desk.leases.wanted(QUOTA, [5, 5], 1) == [0, CHUNK]
    desk.leases.answered(QUOTA, [CHUNK, 0])
    assert desk.leases.wanted(QUOTA, [5, 5], 1) == [CHUNK, 0]
    for _ in range(BUSY):
        desk.take(1, other)
    assert desk.leases.wanted(other, [5, 5], 1) == [0, CHUNK]


@pytest.mark.parametrize(
    ("asked", "gateways", "wanted"),
    [(5, 4, CHUNK // 4), (3 * SECOND, 4, 3 * SECOND), (50 * SECOND, 4, 60 * SECOND // 16), (0, 1, 0)],
)
def test_a_chunk_is_a_share_or_a_request_and_no_great_part_of_the_burst(asked: int, gateways: int, wanted: int) -> None:
    desk = Desk()
    desk.made_busy()
    assert desk.leases.wanted(QUOTA, [1, asked], gateways)[1] == wanted


def test_slots_and_dry_runs_are_always_asked_about() -> None:
    desk = Desk()
    desk.made_busy()
    desk.leases.grant(QUOTA, [SECOND, SECOND])
    dry = Quota("acme", (RPM, replace(TPM, key="dry", enforce=False)))
    slotted = Quota("acme", QUOTA.buckets, (Slots("slots", 9),))
    assert desk.take(1, dry) is None
    assert desk.take(1, slotted) is None
    assert desk.leases.wanted(dry, [1, 1], 1) == []
    assert desk.leases.gather(dry, refusal(dry, dry.buckets[1])) == 0
    assert desk.leases.gather(slotted, refusal(slotted, slotted.slots[0])) == 0


def test_what_is_there_is_drawn_and_no_more() -> None:
    desk = Desk()
    desk.leases.grant(QUOTA, [SECOND, SECOND])
    drawn = desk.take(6)
    assert drawn is not None
    assert list(drawn.paid) == [SECOND // 10, 6 * SECOND // 10]
    assert desk.take(5) is None
    assert list(desk.leases.end(QUOTA, drawn, Cost(1, 1))) == []
    assert desk.take(9) is not None, "what came back is there again"
    assert desk.take(1) is None


def test_what_was_used_beyond_is_drawn_too_or_charged() -> None:
    desk = Desk()
    desk.leases.grant(QUOTA, [SECOND, SECOND])
    drawn = desk.take(5)
    assert drawn is not None
    assert list(desk.leases.end(QUOTA, drawn, Cost(1, 12))) == [(Quota("acme", (TPM,)), 2 * SECOND // 10)]
    assert desk.take(1) is None


def test_what_nobody_uses_is_given_back() -> None:
    desk = Desk()
    desk.leases.grant(QUOTA, [SECOND // 4, SECOND])
    drawn = desk.take(2)
    assert list(desk.leases.give_back(1)) == [(Quota("acme", (TPM,)), -(8 * SECOND // 10 - CHUNK))]
    desk.clock[0] += IDLE / SECOND
    back = dict(desk.leases.give_back(1))
    assert back == {Quota("acme", (RPM,)): -(SECOND // 4 - SECOND // 10), Quota("acme", (TPM,)): -CHUNK}
    assert list(desk.leases.give_back(1, all_of_it=True)) == []
    assert drawn is not None
    late = dict(desk.leases.end(QUOTA, drawn, Cost(0, 3)))
    assert late == {Quota("acme", (RPM,)): -SECOND // 10, Quota("acme", (TPM,)): SECOND // 10}


def test_more_than_a_share_of_a_chunk_is_given_back_at_once() -> None:
    desk = Desk()
    desk.leases.grant(QUOTA, [CHUNK // 4, SECOND])
    assert list(desk.leases.give_back(4)) == [(Quota("acme", (TPM,)), -(SECOND - CHUNK // 4))]
    assert list(desk.leases.give_back(4)) == []


def test_room_gathers_where_a_chunk_is_wanted() -> None:
    desk = Desk()
    assert desk.leases.gather(QUOTA, refusal(QUOTA, TPM)) == 0
    desk.made_busy()
    assert desk.leases.gather(QUOTA, refusal(QUOTA, TPM)) == CHUNK
    small = Quota("acme", (RPM, Bucket("small", "tokens", 600, 60.0, 4)))
    assert desk.leases.gather(small, refusal(small, small.buckets[1])) == SECOND // 10
    assert desk.leases.gather(QUOTA, refusal(QUOTA, TPM, CHUNK - 1)) == CHUNK
    assert desk.leases.gather(QUOTA, refusal(QUOTA, TPM, CHUNK)) == 0, "it is there, and somebody asked for more"


def test_what_buckets_of_a_tenant_are_charged_goes_together() -> None:
    """A cluster keeps tenants on different nodes."""
    many = [Bucket(f"b{number}", "tokens", 600, 60.0) for number in range(TOGETHER + 1)]
    debts = [(Quota("acme", (bucket,)), number) for number, bucket in enumerate(many)]
    assert list(together([(Quota("other", (TPM,)), -7), *debts])) == [
        (Quota("other", (TPM,)), (-7,)),
        (Quota("acme", tuple(many[:TOGETHER])), tuple(range(TOGETHER))),
        (Quota("acme", tuple(many[TOGETHER:])), (TOGETHER,)),
    ]

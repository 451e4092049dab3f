"""How limits stand, in the fields of the IETF's draft."""

from __future__ import annotations

from gateway.ratelimit_fields import KNOWN, RateLimitFields
from security.limits.api import SECOND, Bucket, Decision, Limit, Quota, Slots, key
from security.limits.budget import Budget

NOW = 5 * SECOND
RPM = Bucket(key("acme", "key", "1234567890ab", "requests_per_minute"), "requests", 600, 60.0)
DAY = Bucket(key("acme", "tenant", "tokens_per_day"), "tokens", 86_400, 86_400.0)
OUTPUT = Bucket(key("acme", "model", "chat:fränzösisch", "output_tokens_per_minute"), "output_tokens", 60, 60.0)
TRIED = Bucket(key("acme", "tenant", "tokens_per_minute"), "tokens", 10, 60.0, enforce=False)
SLOTS = Slots(key("acme", "tenant", "concurrent_requests"), 64)


def told(quota: Quota, *full_in: float, refused_by: Limit | None = None, wait: float = 0) -> list[str]:
    tats = [NOW + round(seconds * SECOND) for seconds in full_in]
    decision = Decision(NOW, tats, [0] * len(tats), (), refused_by=refused_by, wait=round(wait * SECOND))
    found = RateLimitFields().lines(quota, decision).decode()
    assert found == "" or found.endswith("\r\n")
    return found.splitlines()


def test_every_limit_has_a_name_its_unit_and_its_window() -> None:
    policies, standing = told(Quota("acme", (RPM, DAY, OUTPUT, TRIED), (SLOTS,)), 0.1, 3600.2, 90, 50)
    assert policies.split(", ") == [
        'ratelimit-policy: "key:requests_per_minute";q=600;w=60',
        '"tenant:tokens_per_day";q=86400;qu="tokens";w=86400',
        '"model:output_tokens_per_minute";q=60;qu="output-tokens";w=60;pk=:Y2hhdDpmcsOkbnrDtnNpc2No:',
        '"tenant:concurrent_requests";q=64;qu="concurrent-requests"',
    ]
    assert standing.split(", ") == [
        'ratelimit: "key:requests_per_minute";r=599;t=1',
        '"tenant:tokens_per_day";r=82799;t=3601',
        '"model:output_tokens_per_minute";r=0;t=90;pk=:Y2hhdDpmcsOkbnrDtnNpc2No:',
    ]


def test_what_is_as_if_never_used_has_a_window_all_the_same() -> None:
    assert told(Quota("acme", (RPM,)), -3)[1] == 'ratelimit: "key:requests_per_minute";r=600;t=1'


def test_in_a_refusal_no_window_ends_later_than_it_is_told_to_come_again() -> None:
    quota = Quota("acme", (RPM, DAY))
    assert told(quota, 60, 80_000, refused_by=RPM, wait=2.3)[1] == (
        'ratelimit: "key:requests_per_minute";r=0;t=3, "tenant:tokens_per_day";r=6400;t=3'
    )
    assert told(quota, 1, 80_000, refused_by=DAY, wait=7000)[1].endswith('"tenant:tokens_per_day";r=6400;t=120')


def test_a_refusal_that_tells_no_time_leaves_windows_as_they_are() -> None:
    budget = Budget(key("acme", "tenant", "day_budget@2027-01-31"), 100, "day", 0, 86_400)
    quota = Quota("acme", (DAY,), budgets=(budget,))
    assert told(quota, 80_000, refused_by=budget) == [
        'ratelimit-policy: "tenant:tokens_per_day";q=86400;qu="tokens";w=86400',
        'ratelimit: "tenant:tokens_per_day";r=6400;t=80000',
    ]


def test_what_does_not_drain_is_a_policy_alone() -> None:
    assert told(Quota("acme", (), (SLOTS,))) == [
        'ratelimit-policy: "tenant:concurrent_requests";q=64;qu="concurrent-requests"'
    ]


def test_where_nothing_is_enforced_nothing_is_told() -> None:
    assert told(Quota("acme", (TRIED,), (Slots("k", 1, enforce=False),)), 10) == []


def test_openai_s_headers_stand_beside_them() -> None:
    decision = Decision(NOW, [NOW], [0], ())
    names = [line.partition(b":")[0] for line in RateLimitFields().both(Quota("acme", (RPM,)), decision).splitlines()]
    assert names[3:] == [b"ratelimit-policy", b"ratelimit"]
    assert all(name.startswith(b"x-ratelimit-") for name in names[:3])


def test_what_is_known_of_quotas_is_theirs_and_bounded() -> None:
    spelling, decision = RateLimitFields(), Decision(NOW, [NOW], [0], ())
    for number in range(1, 2 * KNOWN + 2):
        quota = Quota("acme", (Bucket(key("acme", "tenant", "requests_per_minute"), "requests", number, 60.0),))
        for _ in range(2):
            assert b";q=%d;" % number in spelling.lines(quota, decision)
    assert repr(spelling) == "<RateLimitFields of 1 quotas>"

"""Which limits bind whom: a key's own, its tenant's, and its tenant's for one model, as its plan says."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.quotas import Plan
from gateway.quotas import BUCKETS, NOBODY, REMEMBERED, TOLD, Quotas, described, named, quota_of
from router.api import Replica
from security.api import IS_NAME, Principal
from security.limits.api import Bucket, Cost, OverLimit, Quota, Slots
from security.limits.local import LocalLimiter
from security.open_door import ANYBODY
from tests.support.choosing import SaysLoad
from tests.support.models import made_of

RPM = "requests_per_minute"
CHAT, OTHER = (made_of(name, [Replica(f"{name}-0", SaysLoad())]) for name in ("chat", "other"))
EVERY = {
    "requests_per_minute": 1,
    "input_tokens_per_minute": 2,
    "output_tokens_per_minute": 3,
    "tokens_per_minute": 4,
    "tokens_per_day": 5,
    "concurrent_requests": 6,
}


def caller(key: str = "k1", tenant: str = "acme", plan: str = "default") -> Principal:
    return Principal(key, tenant, None, frozenset({"inference"}), 1, 0, plan)


def plan(name: str = "default", **members: Any) -> Plan:
    return Plan.model_validate({"name": name, **members})


def told(record: Any) -> Any:
    """What is said with an event."""
    assert record.message == "plan not listed"
    return record


def limits(quota: Quota | None) -> list[Bucket | Slots]:
    assert quota is not None
    return [*quota.buckets, *quota.slots]


def bound(quota: Quota | None) -> dict[str, int]:
    """How much each limit is, by its name in the store."""
    return {limit.key: limit.limit for limit in limits(quota)}


def test_who_is_on_a_plan_that_is_not_listed_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Of tokens nobody else could: their plan is what a claim says."""
    quotas = Quotas([plan("default", key={RPM: 1}), plan("gold")])
    for name in ("golf", "gold", "default", "golf"):
        for key_id in ("k1", "k2"):
            quotas.of(caller(key_id, plan=name), CHAT)
    quotas.of(caller("k1", plan="golf"), OTHER)
    assert quotas.unlisted == 3
    assert [(one.plan, one.instead) for one in map(told, caplog.records)] == [("golf", "that of default holds")]


def test_plans_that_callers_make_up_are_not_told_without_end(caplog: pytest.LogCaptureFixture) -> None:
    quotas = Quotas([plan("gold")])
    for number in range(TOLD + 50):
        quotas.of(caller(plan=f"p{number}"), CHAT)
    assert quotas.unlisted == TOLD + 50
    assert len(caplog.records) == TOLD
    assert told(caplog.records[0]).instead == "nothing is limited"


def test_a_plan_that_is_listed_since_is_counted_no_more() -> None:
    quotas = Quotas([plan("gold")])
    quotas.of(caller(plan="silver"), CHAT)
    quotas.lay({"silver": plan("silver")})
    quotas.of(caller(plan="silver"), CHAT)
    assert quotas.unlisted == 1


def test_where_there_are_no_plans_nobody_misses_one() -> None:
    quotas = Quotas([])
    quotas.of(caller(plan="gold"), CHAT)
    assert quotas.unlisted == 0


def test_everything_that_can_be_set_binds_in_its_own_unit_and_time() -> None:
    quota = Quotas([plan(key=EVERY)]).of(caller(), CHAT)
    assert quota is not None
    assert [(one.unit, one.limit, one.burst, one.window) for one in quota.buckets] == [
        ("requests", 1, 1, 60),
        ("input_tokens", 2, 2, 60),
        ("output_tokens", 3, 3, 60),
        ("tokens", 4, 4, 60),
        ("tokens", 5, 5, 86_400),
    ]
    assert [one.limit for one in quota.slots] == [6]


def test_a_key_its_tenant_and_its_tenant_s_model_have_limits_of_their_own() -> None:
    quotas = Quotas([
        plan(
            key={"requests_per_minute": 10},
            tenant={"requests_per_minute": 100, "concurrent_requests": 8},
            models=[{"model": "chat", "requests_per_minute": 50}, {"model": "other", "requests_per_minute": 60}],
        )
    ])  # fmt: skip
    own = {"snowshed:{acme}:tenant:requests_per_minute": 100, "snowshed:{acme}:tenant:concurrent_requests": 8}
    assert bound(quotas.of(caller("k1"), CHAT)) == {
        **own,
        "snowshed:{acme}:key:k1:requests_per_minute": 10,
        "snowshed:{acme}:model:chat:requests_per_minute": 50,
    }
    assert bound(quotas.of(caller("k2"), OTHER)) == {
        **own,
        "snowshed:{acme}:key:k2:requests_per_minute": 10,
        "snowshed:{acme}:model:other:requests_per_minute": 60,
    }
    others = bound(quotas.of(caller("k1", "umbrella"), CHAT))
    assert all(key.startswith("snowshed:{umbrella}:") for key in others), "another tenant's are its own"


def test_a_tenant_s_plan_decides_else_the_one_named_default() -> None:
    quotas = Quotas([plan(key={"tokens_per_minute": 1}), plan("gold", key={"tokens_per_minute": 2})])
    key = "snowshed:{acme}:key:k1:tokens_per_minute"
    assert bound(quotas.of(caller(plan="default"), CHAT)) == {key: 1}
    assert bound(quotas.of(caller(plan="gold"), CHAT)) == {key: 2}
    assert bound(quotas.of(caller(plan="not-listed"), CHAT)) == {key: 1}


def test_nothing_binds_who_is_on_no_plan_or_on_one_without_limits_for_them() -> None:
    assert Quotas([]).of(caller(), CHAT) is None
    assert Quotas([plan("gold", key={"tokens_per_minute": 2})]).of(caller(), CHAT) is None
    of_other = Quotas([plan(models=[{"model": "other", "tokens_per_minute": 2}])])
    assert of_other.of(caller(), CHAT) is None
    assert of_other.of(caller(), OTHER) is not None


def test_a_change_of_a_tenant_s_plan_holds_at_once() -> None:
    quotas = Quotas([plan("gold", key={"tokens_per_minute": 2})])
    assert quotas.of(caller(plan="gold"), CHAT) is not None
    assert quotas.of(caller(plan="lead"), CHAT) is None


@pytest.mark.parametrize("enforce", [True, False])
@pytest.mark.parametrize("mode", ["share", "closed", "open"])
def test_how_strictly_a_plan_holds_is_passed_on(mode: str, *, enforce: bool) -> None:
    quota = Quotas([plan(key=EVERY, tenant=EVERY, enforce=enforce, without_store=mode)]).of(caller(), CHAT)
    assert quota is not None
    assert quota.mode == mode
    assert {limit.enforce for limit in limits(quota)} == {enforce}


def test_what_was_put_together_is_kept_for_so_many_callers_and_no_more() -> None:
    quotas = Quotas([plan(key={"tokens_per_minute": 1})])
    first = quotas.of(caller("first"), CHAT)
    assert quotas.of(caller("first"), CHAT) is first
    for number in range(REMEMBERED):
        quotas.of(caller(f"k{number}"), CHAT)
    assert repr(quotas) == f"<Quotas of 1 plans, {REMEMBERED} callers known>"
    again = quotas.of(caller("first"), CHAT)
    assert again is not first
    assert again == first


def test_ten_thousand_keys_get_no_more_than_their_tenant_may_have() -> None:
    quotas = Quotas([plan(key={RPM: 10}, tenant={RPM: 1000})])
    limiter = LocalLimiter(lambda: 100.0)
    passed = refused = 0
    for turn in range(3):
        for number in range(10_000):
            quota = quotas.of(caller(f"k{number}"), CHAT)
            assert quota is not None
            try:
                limiter.take(quota, Cost(1)).settle(Cost(1))
                passed += 1
            except OverLimit:
                refused += 1
        assert (passed, refused) == (1000, 10_000 * (turn + 1) - 1000)
    assert repr(limiter) == "<LocalLimiter 1001 buckets, 0 slots taken>", "nothing is kept of who was refused"


ODD = ["a:b", "tenant", "}:tenant:x", "{acme}:key:k1", "spiffe://cluster/ns/a/sa/b", "", "ключ", "a\r\nb", "*", " "]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_no_name_of_a_key_or_model_makes_a_limit_another_one_s(odd: str) -> None:
    """Whoever issues tokens chooses the ids in them."""
    model = made_of(odd, [Replica("r", SaysLoad())])
    quotas = Quotas([plan(key=EVERY, tenant=EVERY, models=[{"model": "chat", **EVERY}])])
    usual, strange = bound(quotas.of(caller(), CHAT)), bound(quotas.of(caller(odd), CHAT))
    own = {key for key in strange if ":key:" in key} - usual.keys()
    assert len(own) == len(EVERY)
    assert strange.keys() - own == {key for key in usual if ":key:k1:" not in key}
    assert bound(quotas.of(caller(odd), model)).keys() <= strange.keys()


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_a_limit_is_described_without_anybody_s_name(odd: str) -> None:
    quota = Quotas([plan(key=EVERY, tenant=EVERY, models=[{"model": "chat", **EVERY}])]).of(caller(odd), CHAT)
    told = [described(limit) for limit in limits(quota)]
    names = [name for name, *_ in BUCKETS]
    assert told == [
        *((holder, name) for holder in ("key", "tenant", "model") for name in names),
        *((holder, "concurrent_requests") for holder in ("key", "tenant", "model")),
    ]


def test_without_authentication_everybody_is_one_tenant() -> None:
    """By a name that no tenant has, and that is not empty: else a cluster would put each limit on a node of its own."""
    quota = Quotas([plan(tenant={RPM: 1}, key={RPM: 2})]).of(ANYBODY, CHAT)
    assert bound(quota) == {f"snowshed:{{-}}:key::{RPM}": 2, f"snowshed:{{-}}:tenant:{RPM}": 1}
    assert [described(limit) for limit in limits(quota)] == [("key", RPM), ("tenant", RPM)]
    assert not IS_NAME(NOBODY)


def test_what_is_set_holds_over_the_file_from_the_next_request_on() -> None:
    quotas = Quotas([plan(key={RPM: 1}), plan("gold", key={RPM: 2})])
    name = f"snowshed:{{acme}}:key:k1:{RPM}"

    def allowed() -> tuple[int, int]:
        return tuple(bound(quotas.of(caller(plan=each), CHAT))[name] for each in ("gold", "new"))  # type: ignore[return-value]

    assert allowed() == (2, 1)
    quotas.lay({each: plan(each, key={RPM: 3}) for each in ("gold", "new")})
    assert allowed() == (3, 3)
    quotas.apply([plan(key={RPM: 4}), plan("gold", key={RPM: 5})])
    assert allowed() == (3, 3), "over the file's, whatever that says by now"
    assert {each: one.key.requests_per_minute for each, one in quotas.plans.items()} == {
        "default": 4, "gold": 3, "new": 3
    }  # fmt: skip
    quotas.lay({})
    assert allowed() == (5, 4)
    quotas.apply([])
    assert quotas.of(caller(plan="gold"), CHAT) is None


@pytest.mark.parametrize(("before", "after", "remaining"), [(10, 100, 20), (100, 10, 2), (10, 1, 0)])
def test_a_bucket_stays_at_its_share_when_its_limit_changes(before: int, after: int, remaining: int) -> None:
    """Four fifths are used; what is under way is settled by the limit that it was reserved by."""
    quotas, limiter = Quotas([plan(key={"tokens_per_day": before})]), LocalLimiter(lambda: 100.0)
    first = quotas.of(caller(), CHAT)
    assert first is not None
    used = limiter.take(first, Cost(1, before * 8 // 10))
    more = limiter.take(first, Cost(1, before // 10))
    used.settle(Cost(1, before * 8 // 10))
    quotas.apply([plan(key={"tokens_per_day": after})])
    now = quotas.of(caller(), CHAT)
    assert now is not None
    more.settle(Cost(0))
    assert limiter.take(now, Cost(0)).standings[0].remaining == remaining


def test_all_that_binds_a_tenant_is_had_without_a_key_and_a_model() -> None:
    gold = plan(key={RPM: 1}, tenant={RPM: 2}, models=[{"model": "chat", RPM: 3}, {"model": "chat:french", RPM: 4}])
    assert bound(quota_of(gold, "acme", None, None)) == {
        f"snowshed:{{acme}}:tenant:{RPM}": 2,
        f"snowshed:{{acme}}:model:chat:{RPM}": 3,
        f"snowshed:{{acme}}:model:chat:french:{RPM}": 4,
    }
    found = limits(quota_of(gold, "acme", "mesh:spiffe://a/b", None))
    assert [(*described(limit), named(limit)) for limit in found] == [
        ("key", RPM, "mesh:spiffe://a/b"), ("tenant", RPM, ""), ("model", RPM, "chat"), ("model", RPM, "chat:french"),
    ]  # fmt: skip
    assert quota_of(plan(key={RPM: 1}), "acme", None, None) is None


def test_who_came_last_is_known_by_their_id_and_by_their_tenant() -> None:
    quotas = Quotas([plan()])
    for key, each in (("jwt:alice", "old"), ("jwt:alice", "new"), ("jwt:bob", "bob's")):
        quotas.of(caller(key, plan=each), CHAT)
    assert quotas.seen("jwt:alice") == ("jwt:alice", "acme", "new")
    assert quotas.seen("acme") == ("jwt:bob", "acme", "bob's")
    assert quotas.seen("jwt:carol") is None
    quotas.apply([plan(), plan("gold")])
    assert quotas.seen("jwt:alice") is None

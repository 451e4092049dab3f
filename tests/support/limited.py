"""A gateway that limits its callers: who asks, what is left of each of their limits, and what they were told of it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gateway.quotas import Quotas, described
from loadtests.prove.answers import Answer
from security.limits.api import NOTHING, Cost, Quota
from security.limits.limiter import Limiter
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import RunningGateway
from tests.support.queueing import Queueing, named, queueing, served

WHOLE_DAY: Final = 2000
"""Tokens a day: so few that none drains while a test runs, and what is left can be told to the token."""


def plan(name: str = "default", /, **members: Any) -> dict[str, Any]:
    """An entry of `quotas.plans`."""
    return {"name": name, **members}


@contextmanager
def limited(
    fleet: SpawnedFleet,
    folder: Path,
    *plans: Mapping[str, Any],
    tenants: Mapping[str, Mapping[str, Any]] | None = None,
    **sections: Any,
) -> Iterator[Queueing]:
    """For the length of a block: models `mock` and `other` with room for all, a key for `acme`; or as told."""
    models = sections.pop("models", [served(fleet.urls, None), served(fleet.urls, None, "other")])
    quotas = {"plans": list(plans), **sections.pop("quotas", {})}
    with queueing(fleet, folder, *models, tenants=tenants or {"acme": {}}, quotas=quotas, **sections) as place:
        for replica in fleet.replicas:
            replica.set(slots=0)
        yield place


def left(place: Queueing, who: str = "acme", model: str = "mock") -> dict[str, int]:
    """Units of each enforced limit that binds them: by whose it is and its name, as `key:tokens_per_day`."""
    limiter = place.gateway.objects.limiter

    async def look() -> dict[str, int]:
        quota = await _quota(place.gateway, place.headers(who), model)
        with limiter.take(quota, NOTHING) or await limiter.reserve(quota, NOTHING) as probe:
            return {":".join(described(one.bucket)): one.remaining for one in probe.standings}

    return place.gateway.wait_for(look())


def use_up(place: Queueing, cost: Cost, who: str = "acme", model: str = "mock") -> None:
    """As requests would that took so much."""

    async def use() -> None:
        await _use(place.gateway.objects.limiter, await _quota(place.gateway, place.headers(who), model), cost)

    work: Coroutine[Any, Any, None] = use()
    place.gateway.wait_for(work)


def ask_mixed(place: Queueing, who: str = "acme") -> int:
    """Thirty requests at a time, of which some fail; tokens that the model server has counted of those it answered."""
    directives = ["tokens=7", "tokens=3", "fault=status,status=500", "tokens=5", "fault=status,status=400"] * 6
    asking = [
        place.asking(named(f"n{turn}", directive, stream=turn % 2 == 0, max_tokens=10), who)
        for turn, directive in enumerate(directives)
    ]
    told = [one.result().answer.status for one in asking]
    assert told.count(200) == 18, told
    return sum(call.prompt_tokens + call.tokens for call in place.asked() if call.tokens)


def slots_taken(place: Queueing) -> int:
    """By all requests under way, of a gateway that counts for itself."""
    used: dict[str, int] = place.gateway.objects.limiter._used  # type: ignore[attr-defined]
    return sum(used.values())


def refused(answer: Answer) -> tuple[str, float]:
    """The message of an answer that says how long to wait, and that: in seconds. Else `AssertionError`."""
    assert answer.status == 429, answer.raw
    assert answer.error is not None
    assert answer.error["code"] == "rate_limit_exceeded"
    return answer.error["message"], int(answer.headers["retry-after-ms"]) / 1000


async def _use(limiter: Limiter, quota: Quota, cost: Cost) -> None:
    with limiter.take(quota, cost) or await limiter.reserve(quota, cost) as reservation:
        reservation.settle(cost)


async def _quota(gateway: RunningGateway, headers: Mapping[str, str], model: str) -> Quota:
    """What binds whoever sends these headers; without slots, as who looks on takes none."""
    objects = gateway.objects
    sent = {name.encode(): value.encode() for name, value in headers.items()}
    principal = objects.auth.recall(sent) or await objects.auth.learn(sent)
    quota = Quotas(objects.config.quotas.plans).of(principal, objects.catalog.snapshot.models[model])
    assert quota is not None, "nothing binds them"
    return Quota(quota.tenant, quota.buckets, mode=quota.mode)

"""What `snowshed top` shows of one look at a gateway, beside the one before: versions, replicas, tenants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cli.output import table
from gateway.cli.versions import state_of

if TYPE_CHECKING:
    from gateway.admin.routes.answers import SeenReplica
    from gateway.admin.routes.queue_answers import SeenQueue, Used

VERSIONS = ("VERSION", "CRITICAL", "STANDARD", "BATCH", "OF", "TOKENS", "BACKLOG", "SHED", "SHED/S")
REPLICAS = ("REPLICA", "STATE", "SHARE", "REQUESTS", "PROMPT TOKENS", "KV TOKENS", "CALLS", "CALLS/S", "FAILURES")
TENANTS = ("TENANT", "VERSION", "CLASS", "WAITING", "AHEAD")


@dataclass(slots=True, frozen=True)
class Look:
    """What a gateway said at a moment (monotonic seconds)."""

    at: float
    queues: list[SeenQueue]
    replicas: list[SeenReplica]


def blocks(look: Look, before: Look | None) -> Iterator[list[str]]:
    """Tables as lines, each with its heads first. Rates take a look before. Tenants are those who wait."""
    yield table(VERSIONS, _versions(look, before))
    yield table(REPLICAS, _replicas(look, before))
    if tenants := _tenants(look):
        yield table(TENANTS, tenants)


def _versions(look: Look, before: Look | None) -> list[tuple[str, ...]]:
    earlier = {queue.version: _shed(queue) for queue in before.queues} if before else {}
    rows = []
    for queue in look.queues:
        classes, shed = queue.classes, _shed(queue)
        backlogs = [one.backlog_s for one in classes.values()]
        known = [seconds for seconds in backlogs if seconds is not None]
        rows.append((
            queue.version,
            *(str(classes[name].waiting) for name in ("critical", "standard", "batch")),
            str(queue.requests.limit),
            str(sum(one.tokens for one in classes.values())),
            f"{sum(known):.1f} s" if len(known) == len(backlogs) else "?",
            str(shed),
            _rate(shed, earlier.get(queue.version), look, before),
        ))  # fmt: skip
    return rows


def _replicas(look: Look, before: Look | None) -> list[tuple[str, ...]]:
    earlier = {replica.name: replica.calls for replica in before.replicas} if before else {}
    return [
        (
            seen.name,
            state_of(seen),
            f"{seen.weight:g}" if seen.asked else "0",
            *(_used(seen.limits[limit]) for limit in ("requests", "prompt_tokens", "kv_tokens")),
            str(seen.calls),
            _rate(seen.calls, earlier.get(seen.name), look, before),
            str(sum(seen.failures.values())),
        )
        for seen in look.replicas
    ]


def _tenants(look: Look) -> list[tuple[str, ...]]:
    return [
        (share.tenant or "-", queue.version, share.of_class, str(share.waiting), str(round(share.ahead)))
        for queue in look.queues
        for share in queue.tenants
        if share.waiting
    ]


def _shed(queue: SeenQueue) -> int:
    return sum(count for one in queue.classes.values() for count in one.shed.values())


def _used(what: Used) -> str:
    return f"{what.used}/{what.limit} {what.used / max(1, what.limit):.0%}"


def _rate(now: int, earlier: int | None, look: Look, before: Look | None) -> str:
    """Per second; "" where that can't be told."""
    if earlier is None or before is None or look.at <= before.at:
        return ""
    return f"{max(0, now - earlier) / (look.at - before.at):.1f}"

"""What a running gateway thinks of a model's replicas."""

from __future__ import annotations

from router.events import Change
from router.pool import Pool
from tests.support.gateway import RunningGateway


def pool_of(gateway: RunningGateway, model: str) -> Pool:
    """Of a model's only version."""
    (version,) = gateway.objects.catalog.snapshot.models[model].versions.values()
    return version.pool


def changes(pool: Pool) -> list[Change]:
    """What is thought of its replicas, from now on."""
    heard: list[Change] = []
    tell = pool._tell

    def both(change: Change) -> None:
        heard.append(change)
        tell(change)

    pool._tell = both
    return heard

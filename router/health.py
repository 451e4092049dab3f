"""Asks a replica again and again whether it would take a call; never by a call."""

from __future__ import annotations

import asyncio
import logging

from engines.api import Health
from router.api import Replica

_logger = logging.getLogger("snowshed")

PROBE_EVERY = 5.0
PROBE_TIMEOUT = 5.0
FIRST_PROBE_EVERY = 0.2
"""Seconds between probes of a replica that has never been ready: a start should not wait for a slow rhythm."""


async def watch(replica: Replica) -> None:
    """Keep the replica's `verdict` current until cancelled; one that hangs delays no other."""
    pause = FIRST_PROBE_EVERY
    while True:
        await look(replica)
        pause = min(PROBE_EVERY, pause * 1.5) if replica.verdict else PROBE_EVERY
        await asyncio.sleep(pause)


async def look(replica: Replica) -> None:
    """Make the replica's `verdict` current."""
    health = await probe(replica)
    verdict = "" if health.ready else health.reason
    if verdict != replica.verdict:
        _tell(replica, health)
    replica.verdict = verdict


def _tell(replica: Replica, health: Health) -> None:
    """Once for each change: the others of a model may hide from its clients that one is missing."""
    if health.ready:
        _logger.info("replica ready", extra={"replica": replica.name})
    elif health.starting:
        _logger.info("replica starting", extra={"replica": replica.name})
    else:
        _logger.warning("replica not ready", extra={"replica": replica.name, "reason": health.reason})


async def probe(replica: Replica) -> Health:
    """Whether the replica would take a call."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            return await replica.engine.probe()
    except TimeoutError:
        return Health(ready=False, reason=f"no answer to a probe within {PROBE_TIMEOUT:g} s")
    except Exception:  # an engine's mistake must not end the watch, and with it the process
        _logger.exception("probe broke", extra={"replica": replica.name})
        return Health(ready=False, reason="the probe failed")

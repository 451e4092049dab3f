"""Asks a replica again and again whether it would take a call; never by a call."""

from __future__ import annotations

import asyncio
import logging

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
    verdict = await probe(replica)
    if verdict != replica.verdict:
        _tell(replica, verdict)
    replica.verdict = verdict


def _tell(replica: Replica, verdict: str) -> None:
    """Once for each change: the others of a model may hide from its clients that one is missing."""
    if verdict:
        _logger.warning("replica not ready", extra={"replica": replica.name, "reason": verdict})
    else:
        _logger.info("replica ready", extra={"replica": replica.name})


async def probe(replica: Replica) -> str:
    """Why the replica would not take a call; "" if it would."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            health = await replica.engine.probe()
    except TimeoutError:
        return f"no answer to a probe within {PROBE_TIMEOUT:g} s"
    except Exception:  # an engine's mistake must not end the watch, and with it the process
        _logger.exception("probe broke", extra={"replica": replica.name})
        return "the probe failed"
    return "" if health.ready else health.reason

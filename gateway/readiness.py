"""Whether requests should be sent here, and if not, why: plain state that the ops thread may read at any time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from gateway.traffic import Traffic
from router.api import Model, Replica
from security.api import Authenticator
from security.open_door import OPEN_DOOR

_logger = logging.getLogger("snowshed")

PROBE_EVERY = 5.0
PROBE_TIMEOUT = 5.0
FIRST_PROBE_EVERY = 0.2
"""Seconds between probes of a replica that has never been ready: a start should not wait for a slow rhythm."""


class Readiness:
    """Probes replicas in the background. A model is ready with one replica; the gateway with one model."""

    def __init__(self, traffic: Traffic, models: Sequence[Model], auth: Authenticator = OPEN_DOOR) -> None:
        self._traffic = traffic
        self._models = models
        self._auth = auth
        self.listening = True
        """Whether the public address is open; set by a server that opens it later than this."""
        self._verdicts: dict[str, str] = {r.name: "not probed yet" for model in models for r in model.replicas}

    def __repr__(self) -> str:
        return f"<Readiness {'; '.join(self.reasons()) or 'ready'}>"

    def reasons(self) -> list[str]:
        """Why not; empty means ready. Several models: those without a replica are only a reason once all are."""
        if self._traffic.draining:
            return ["draining"]
        if not self.listening:
            return ["not listening yet"]
        if not self._auth.able:
            return [self._auth.trouble]
        bad = [reason for model in self._models if (reason := self._judge(model))]
        return bad if len(bad) == len(self._models) else []

    def warnings(self) -> list[str]:
        """What is wrong although requests should be sent here."""
        return [self._auth.trouble] if self._auth.trouble else []

    def takes_calls(self, replica: Replica) -> bool:
        """Whether the last probe of one of the models' replicas found it ready."""
        return not self.verdict(replica)

    def verdict(self, replica: Replica) -> str:
        """Why the last probe of one of the models' replicas did not find it ready; "" if it did."""
        return self._verdicts[replica.name]

    def _judge(self, model: Model) -> str:
        verdicts = [self._verdicts[replica.name] for replica in model.replicas]
        return "" if "" in verdicts else f"model {model.name}: {verdicts[0]}"

    async def watch(self) -> None:
        """Probe every replica until cancelled; one that hangs delays no other."""
        async with asyncio.TaskGroup() as probes:
            for replica in dict.fromkeys(replica for model in self._models for replica in model.replicas):
                probes.create_task(self._watch(replica))

    async def _watch(self, replica: Replica) -> None:
        pause = FIRST_PROBE_EVERY
        while True:
            verdict = await _probe(replica)
            if verdict != self._verdicts[replica.name]:
                _tell(replica, verdict)
            self._verdicts[replica.name] = verdict
            pause = min(PROBE_EVERY, pause * 1.5) if verdict else PROBE_EVERY
            await asyncio.sleep(pause)


def _tell(replica: Replica, verdict: str) -> None:
    """Once for each change: the others of a model may hide from its clients that one is missing."""
    if verdict:
        _logger.warning("replica not ready", extra={"replica": replica.name, "reason": verdict})
    else:
        _logger.info("replica ready", extra={"replica": replica.name})


async def _probe(replica: Replica) -> str:
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

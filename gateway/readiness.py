"""Whether requests should be sent here, and if not, why: plain state that the ops thread may read at any time."""

from __future__ import annotations

from gateway.traffic import Traffic
from router.catalog import Catalog
from router.model import Model
from security.api import Authenticator
from security.open_door import OPEN_DOOR


class Readiness:
    """Says what the probes and calls of replicas amount to. A model is ready with one replica; the gateway with one."""

    def __init__(self, traffic: Traffic, catalog: Catalog, auth: Authenticator = OPEN_DOOR) -> None:
        self._traffic = traffic
        self._catalog = catalog
        self._auth = auth
        self.listening = True
        """Whether the public address is open; set by a server that opens it later than this."""

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
        models = list(self._catalog)
        bad = [reason for model in models if (reason := _judge(model))]
        return bad if len(bad) == len(models) else []

    def warnings(self) -> list[str]:
        """What is wrong although requests should be sent here."""
        return [self._auth.trouble] if self._auth.trouble else []


def _judge(model: Model) -> str:
    """Why the model can't answer; "" if it can."""
    versions = [version for name, version in model.versions.items() if name in model.split.reached]
    troubles = [replica.trouble for version in versions for replica in version.pool.replicas]
    if "" in troubles:
        return ""
    return f"model {model.name}: {troubles[0]}" if troubles else f"model {model.name}: no replica"

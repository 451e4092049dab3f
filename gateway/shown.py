"""What those who run a gateway may see of it and steer, beside what is kept in its database."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config import Config
from gateway.quotas import Quotas
from gateway.recent import Recent
from gateway.reloading import Reloading
from gateway.upstreams import Upstreams
from router.events import Events
from security.limits.limiter import Limiter


@dataclass(slots=True, frozen=True)
class Shown:
    """`config` is what the process was started with."""

    config: Config
    upstreams: Upstreams
    reloading: Reloading
    events: Events
    recent: Recent
    quotas: Quotas
    limiter: Limiter

"""How a replica is chosen: `POLICIES` lists what a configuration may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from router.api import Policy
from router.policies.round_robin import RoundRobin

POLICIES: Mapping[str, Callable[[], Policy]] = {"round_robin": RoundRobin}

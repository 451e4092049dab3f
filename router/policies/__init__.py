"""How a replica is chosen: `POLICIES` lists what a configuration may name, each made with its randomness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from router.api import Policy
from router.policies.least_loaded import LeastLoaded
from router.policies.prefix_affinity import PrefixAffinity
from router.policies.round_robin import RoundRobin
from router.policies.session_affinity import SessionAffinity

POLICIES: Mapping[str, Callable[[Random], Policy]] = {
    "least_loaded": LeastLoaded,
    "round_robin": RoundRobin,
    "session_affinity": SessionAffinity,
    "prefix_affinity": PrefixAffinity,
}

"""The one simulated upstream: OpenAI-compatible model servers with slots, timing and faults switchable at run time."""

from loadtests.fleet.calls import Call
from loadtests.fleet.fleet import Fleet
from loadtests.fleet.replica import Replica
from loadtests.fleet.settings import Settings

__all__ = ["Call", "Fleet", "Replica", "Settings"]

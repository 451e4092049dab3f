"""`python -m loadtests.bench`: what Snowshed costs on this machine, as ratios to a raw proxy."""

from __future__ import annotations

from loadtests.bench.command import command
from loadtests.bench.runner import run

if __name__ == "__main__":
    command(run, __doc__)

"""`python -m loadtests.bench.triton`: what Snowshed costs in front of Triton, as ratios to a bare gRPC reader."""

from __future__ import annotations

from loadtests.bench.command import command
from loadtests.bench.triton.runner import run

if __name__ == "__main__":
    command(run, __doc__)

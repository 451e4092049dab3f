"""The generator of overload, a process of its own: carries out a plan.

    python -m loadtests.overload.generator FILE BEGINS

FILE is a `Plan` as JSON, BEGINS when it begins, in seconds of the machine's monotonic clock. Prints a
`Report` as JSON; loads 127.0.0.1 only, and stops by itself.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from time import process_time

import msgspec

from loadtests.bench.upstream import FineLoop
from loadtests.overload.crowd import Crowd
from loadtests.overload.plan import Plan, Report


async def carry_out(plan: Plan, begins: float) -> Report:
    before = process_time()
    crowd = Crowd(plan, begins)
    await crowd.over
    return Report(crowd.attempts, process_time() - before)


if __name__ == "__main__":
    gc.disable()  # the run is short, and a pause here would look like one of the gateway's
    wanted = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    with asyncio.Runner(loop_factory=FineLoop) as runner:
        report = runner.run(carry_out(wanted, float(sys.argv[2])))
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")

"""The generator of overload, a process of its own: carries out the plan in the file that its only argument names.

Prints when it begins, in seconds of the machine's monotonic clock, and in the end a `Report`, both as a line of JSON;
loads 127.0.0.1 only, and stops by itself.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from time import monotonic, process_time

import msgspec

from loadtests.bench.upstream import FineLoop
from loadtests.overload.crowd import Crowd
from loadtests.overload.plan import Plan, Report

SOON = 0.1
"""Seconds from when it is told to the beginning."""


def say(what: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.flush()


async def carry_out(plan: Plan) -> Report:
    before = process_time()
    begins = monotonic() + SOON
    crowd = Crowd(plan, begins)
    say(begins)
    await crowd.over
    return Report(crowd.attempts, process_time() - before)


if __name__ == "__main__":
    gc.disable()  # the run is short, and a pause here would look like one of the gateway's
    wanted = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    with asyncio.Runner(loop_factory=FineLoop) as runner:
        say(runner.run(carry_out(wanted)))

"""`python -m loadtests.bench.triton`: what Snowshed costs in front of Triton, as ratios to a bare gRPC reader."""

from __future__ import annotations

import argparse
from pathlib import Path

from loadtests.bench.runner import QUICK, Effort
from loadtests.bench.triton.runner import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.triton", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short repetitions: a first impression")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write all figures to this file")
    arguments = parser.parse_args()
    report = run(QUICK if arguments.quick else Effort())
    if arguments.json:
        arguments.json.write_bytes(report.as_json())
    print(report.table())


if __name__ == "__main__":
    main()

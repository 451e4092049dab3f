"""Runs a fleet until SIGTERM or SIGINT: `python -m loadtests.fleet --port 18000 --replicas 2 --set tokens=100`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable

import msgspec

from loadtests.fleet.fleet import Fleet
from loadtests.fleet.settings import Settings, changed, pairs
from loadtests.fleet.triton.contracts import CONTRACTS


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.fleet", description="Simulated model servers.", epilog=_settings_told()
    )
    parser.add_argument("--port", type=int, default=0, help="of the first replica; the others follow (0: any free)")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--control-port", type=int, default=0, help="for control verbs, always open (0: any free)")
    parser.add_argument(
        "--set", type=_settings, default=Settings(), metavar="KEY=VALUE,...", help="settings to start with, see below"
    )
    parser.add_argument("--contract", choices=CONTRACTS, help="speak Triton's gRPC, too: the models that it serves")
    parser.add_argument(
        "--grpc-port", type=int, default=0, help="of the first replica; the others follow (0: any free)"
    )
    options = parser.parse_args()
    fleet = Fleet(
        options.replicas,
        options.set,
        options.port,
        options.control_port,
        contract=options.contract,
        grpc_port=options.grpc_port,
    )
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        try:
            runner.run(_serve(fleet))
        except (OSError, OverflowError) as error:  # the latter beyond port 65535
            reason = error.strerror if isinstance(error, OSError) else error
            sys.exit(f"The fleet did not start: {reason}; --port and --control-port choose others")


def _settings(text: str) -> Settings:
    """What `--set` says. Raises ArgumentTypeError, which the parser tells."""
    try:
        return changed(Settings(), pairs(text), strict=False) if text else Settings()
    except msgspec.ValidationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _settings_told() -> str:
    """For `--help`."""
    defaults = ", ".join(f"{key}={value}" for key, value in msgspec.structs.asdict(Settings()).items())
    return (
        f"Settings and their defaults: {defaults}. loadtests/fleet/settings.py says what each means. "
        "A slow server with four places: --set slots=4,ttft_ms=200,delay_ms=20,service_ms=800"
    )


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(fleet: Fleet) -> None:
    """Says where it is in one line of JSON, then serves."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with fleet:
        where = {"urls": fleet.urls, "control": fleet.control_url, "targets": fleet.targets}
        sys.stdout.buffer.write(msgspec.json.encode(where) + b"\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    main()

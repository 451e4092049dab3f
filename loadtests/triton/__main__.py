"""Runs Triton until SIGTERM or SIGINT: `python -m loadtests.triton --models smollm2 --weights model.gguf`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from loadtests.triton.command import Ports
from loadtests.triton.repository import MODELS
from loadtests.triton.server import TritonError, TritonServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.triton", description="A real Triton on this CPU.")
    parser.add_argument("--http-port", type=int, default=Ports.http)
    parser.add_argument("--grpc-port", type=int, default=Ports.grpc)
    parser.add_argument("--metrics-port", type=int, default=Ports.metrics)
    parser.add_argument("--models", nargs="*", choices=sorted(MODELS), default=["llmapi"], help="to load at the start")
    parser.add_argument("--weights", type=Path, help="the GGUF file of smollm2")
    options = parser.parse_args()
    ports = Ports(options.http_port, options.grpc_port, options.metrics_port)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # they wait for sigwait, even those that come too early
    try:
        with TritonServer(options.models, ports=ports, weights=options.weights) as server:
            print(f"Triton serves {', '.join(options.models)} over gRPC on {server.grpc} (Ctrl-C stops it)", flush=True)
            signal.sigwait(signals)
    except TritonError as error:
        sys.exit(f"triton: {error}")


if __name__ == "__main__":
    main()

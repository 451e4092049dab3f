"""Runs Triton until SIGTERM or SIGINT, or for as long as a command runs that needs it.

`python -m loadtests.triton --models llmapi ensemble`, or `python -m loadtests.triton -- some command`.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests.triton.command import Ports
from loadtests.triton.repository import MODELS
from loadtests.triton.server import TritonError, TritonServer

_ENDING = {signal.SIGTERM, signal.SIGINT}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.triton", description="A real Triton on this CPU.")
    parser.add_argument("--http-port", type=int, default=Ports.http)
    parser.add_argument("--grpc-port", type=int, default=Ports.grpc)
    parser.add_argument("--metrics-port", type=int, default=Ports.metrics)
    parser.add_argument("--models", nargs="*", choices=sorted(MODELS), default=["llmapi"], help="to load at the start")
    parser.add_argument("--weights", type=Path, help="the GGUF file of smollm2")
    parser.add_argument("command", nargs="*", help="after --: what to run with it")
    options = parser.parse_args()
    ports = Ports(options.http_port, options.grpc_port, options.metrics_port)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # they wait for sigwait, even those that come too early
    try:
        with TritonServer(options.models, ports=ports, weights=options.weights) as server:
            print(f"Triton serves {', '.join(options.models)} over gRPC on {server.grpc}.", flush=True)
            status = _run(options.command)
    except TritonError as error:
        sys.exit(f"triton: {error}")
    sys.exit(status)


def _run(command: Sequence[str]) -> int:
    """Until a signal, which the command is passed; its exit status."""
    if not command:
        signal.sigwait(_ENDING)
        return 0
    ended = {*_ENDING, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, ended)
    child = subprocess.Popen(
        command,
        process_group=0,  # else Ctrl-C would reach it twice: from the terminal, and passed on by us
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, ended),  # noqa: PLW1509 - we have one thread
    )
    while child.poll() is None:
        if (number := signal.sigwait(ended)) != signal.SIGCHLD:
            child.send_signal(number)
    return child.returncode


if __name__ == "__main__":
    main()

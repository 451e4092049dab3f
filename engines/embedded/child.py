"""The child process: llama.cpp's server around one model file, for as long as its parent lives.

Run as `python child.py MODEL SLOTS CONTEXT THREADS`; the first line of its standard input is the key that callers must
show. It writes one line of JSON: `{"address": "http://127.0.0.1:PORT"}` once it listens, or `{"error": ...}`. It ends
when its standard input does, which is when the parent closes it or dies. Imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def main(model: str, slots: int, context: int, threads: int) -> None:
    """Serve until the parent is gone; CONTEXT is in tokens, split evenly over the slots."""
    key = sys.stdin.buffer.readline().decode().strip()
    parent = threading.Thread(target=_outlive, daemon=True)  # from the start: a big model loads for minutes
    parent.start()
    try:
        server = _serve(model, slots, context, threads, key)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent needs the reason and not a traceback
        _say(error=str(error) or type(error).__name__)
        sys.exit(1)
    _say(address=server.listening_address)
    parent.join()


def _serve(model: str, slots: int, context: int, threads: int, key: str) -> Any:
    import xllamacpp  # here, so that a missing package is told like any other reason

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"embedded"}  # otherwise answers name the path
    params.port = 0
    params.api_keys = [key]
    params.n_parallel = slots
    params.n_ctx = context
    params.n_batch = params.n_ubatch = 64  # a long prompt stalls its neighbours for one such batch, not for all of it
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = 0  # else old prompts are kept in memory, up to 8 GiB of them
    params.prefill_assistant = False  # a conversation that ends with the assistant gets a new turn, as elsewhere
    params.n_threads_http = 2 * slots + 8  # one per connection: a stream each, cancelled ones for a moment, questions
    params.verbosity = 0
    params.ui = False
    return xllamacpp.Server(params)


def _outlive() -> None:
    """Wait for the parent, then end at once: an orderly end would wait for a prefill that nobody wants any more."""
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def _say(**line: str) -> None:
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    path, *numbers = sys.argv[1:]
    main(path, *map(int, numbers))

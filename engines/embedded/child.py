"""The child process: llama.cpp's server around one model file, for as long as its parent lives.

Run as `python child.py MODEL SLOTS CONTEXT THREADS` with the key in `SNOWSHED_CHILD_KEY`. It writes one line of JSON:
`{"address": "http://127.0.0.1:PORT"}` once it listens, or `{"error": ...}`. It ends when its standard input does,
which is when the parent closes it or dies, and on SIGTERM. Imports nothing of ours: it starts in half the time.
"""

from __future__ import annotations

import json
import os
import sys


def main(model: str, slots: int, context: int, threads: int, key: str) -> None:
    try:
        server = _serve(model, slots, context, threads, key)
    except Exception as error:  # whatever it is, the parent needs the reason, not a traceback
        _say(error=str(error) or type(error).__name__)
        sys.exit(1)
    _say(address=server.listening_address)
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # destructors would wait for a prefill that nobody wants any more


def _serve(model: str, slots: int, context: int, threads: int, key: str):  # type: ignore[no-untyped-def]
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.n_parallel = slots
    params.n_ctx = context  # split evenly over the slots
    params.n_batch = params.n_ubatch = 64  # a long prompt stalls its neighbours for one such batch, not for all of it
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = 0
    params.ui = False
    return xllamacpp.Server(params)


def _say(**line: str) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    path, *numbers = sys.argv[1:]
    main(path, *map(int, numbers), key=os.environ["SNOWSHED_CHILD_KEY"])

"""The child process: TensorRT-LLM around one model, for as long as its parent lives.

Run as a script; the first line of its standard input is JSON, `{"folders": [...], "model": {...}}`: where else to look
for packages, ours first, and a `package.Settings`. It writes one line of JSON: `{"address": "/path/of/a/socket"}` once
the model is there and the socket listens, or `{"error": ...}`. It ends in order on SIGTERM or with its standard input,
which is when the parent closes it or dies.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

END_SECONDS = 8.0
"""How long the model may take to let go of its GPUs and of its own processes."""


def main() -> None:
    """Serve until the parent is gone."""
    settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_outlive, daemon=True).start()  # from the start: a big model loads for minutes
    sys.path[:0] = settings["folders"]
    os.environ.setdefault("TQDM_DISABLE", "1")  # its bars are lines of any length
    try:
        from engines.tensorrt_llm import package, worker

        model = package.load(settings["model"])
    except BaseException as error:  # noqa: BLE001  # even an exit: the parent needs the reason and not a traceback
        say(error=str(error) or type(error).__name__)
        os._exit(1)  # whatever threads and processes it has begun
    worker.serve(model, lambda address: say(address=address))
    timer = threading.Timer(END_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
    model.shutdown()
    os._exit(0)


def _outlive() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def say(**line: str) -> None:
    sys.stdout.write(f"\n{json.dumps(line)}\n")  # behind what the package may have begun to say
    sys.stdout.flush()


if __name__ == "__main__":
    main()

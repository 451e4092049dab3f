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
    out = _keep_output()
    settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_outlive, daemon=True).start()  # from the start: a big model loads for minutes
    sys.path[:0] = settings["folders"]
    os.environ.setdefault("TQDM_DISABLE", "1")  # its bars are lines of any length
    try:
        from engines.tensorrt_llm import package, worker

        model = package.load(settings["model"])
    except BaseException as error:  # noqa: BLE001  # even an exit: the parent needs the reason and not a traceback
        _say(out, error=str(error) or type(error).__name__)
        os._exit(1)  # whatever threads and processes it has begun
    worker.serve(model, lambda address: _say(out, address=address))
    timer = threading.Timer(END_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
    model.shutdown()
    os._exit(0)


def _outlive() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _keep_output() -> int:
    """The standard output, for ourselves alone: by its end the parent knows of ours.

    Processes that the package begins inherit another one, and may outlive this one. What they and the package print
    goes nowhere: it may hold what callers wrote.
    """
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return out


def _say(out: int, **line: str) -> None:
    os.write(out, f"{json.dumps(line)}\n".encode())


if __name__ == "__main__":
    main()

"""Import the modules named on the command line, and print each thing that one of them did besides being defined.

Counted is what a module of ours causes, not what a library does while it is imported: on the way from the deed up
the stack our file must come before the import system does.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from pathlib import Path
from types import FrameType

OURS = tuple(f"{Path.cwd() / package}{os.sep}" for package in ("gateway", "engines", "router", "security", "loadtests"))
DEEDS = ("open", "socket.", "subprocess.", "os.putenv", "os.mkdir", "os.remove", "_thread.start")


def culprit() -> str | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and "importlib._bootstrap" not in frame.f_code.co_filename:
        if frame.f_code.co_filename.startswith(OURS):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def watch(event: str, args: tuple[object, ...]) -> None:
    if event.startswith(DEEDS) and (where := culprit()):
        print(where, event, args[:1])


def main() -> None:
    read = type(os.environ).__getitem__

    def watched(environment: os._Environ[str], key: str) -> str:
        if where := culprit():
            print(where, "reads the environment", key)
        return read(environment, key)

    type(os.environ).__getitem__ = watched  # type: ignore[method-assign]
    sys.addaudithook(watch)
    for name in sys.argv[1:]:
        importlib.import_module(name)
    if threading.active_count() != 1:
        print("threads started:", *threading.enumerate())


if __name__ == "__main__":
    main()

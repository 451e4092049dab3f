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


def culprit(*, past_libraries: bool) -> str | None:
    """Where our code caused what is happening, called directly or, if asked, through a library."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and "importlib._bootstrap" not in frame.f_code.co_filename:
        name = frame.f_code.co_filename
        if name.startswith(OURS):
            return f"{name}:{frame.f_lineno}"
        if "site-packages" in name and not past_libraries:
            return None
        frame = frame.f_back
    return None


def watch(event: str, args: tuple[object, ...]) -> None:
    # Libraries may read: pydantic looks for its plug-ins when the first model is defined.
    if event.startswith(DEEDS) and (where := culprit(past_libraries=event != "open")):
        print(where, event, args[:1])


def main() -> None:
    read = type(os.environ).__getitem__

    def watched(environment: os._Environ[str], key: str) -> str:
        if where := culprit(past_libraries=False):
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

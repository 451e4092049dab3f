"""A plugin of pytest, `-p tests.support.machine_code`: tests then meet the hot path as `make compile` has made it.

So do the processes that they fork, and what they start afresh finds it by itself.
"""

from __future__ import annotations

import os

from gateway import compiled

if compiled.use() != "compiled":
    raise RuntimeError(f"the hot path is {compiled.form()}: run make compile first")
os.environ[compiled.SWITCH] = "on"

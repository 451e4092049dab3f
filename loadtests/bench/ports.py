"""Who may have a port that nobody listens on: each is given out once, to one process, until that ends."""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass
class _Claims:
    """`file`: of all processes of this user, in which each locks one byte for a port, as the system lets go of those.

    `ours`: what this process has claimed, as it would be given its own locks again.
    """

    file: int
    ours: set[int] = field(default_factory=set)


@cache
def _claims() -> _Claims:
    path = Path(tempfile.gettempdir()) / f"snowshed-ports-{os.getuid()}"
    return _Claims(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def claim(port: int) -> bool:
    """Whether it is ours from now on; false where it was given out before, to us or to a process that still runs."""
    claims = _claims()
    if port in claims.ours:
        return False
    try:
        fcntl.lockf(claims.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    claims.ours.add(port)
    return True

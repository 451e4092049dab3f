"""Whether a process runs."""

from __future__ import annotations

from pathlib import Path


def running_process(pid: int) -> bool:
    """One that is dead and waits for its parent's notice does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone before it was looked for, or while it was looked at
        return False
    return status.rpartition(")")[2].split()[0] != "Z"

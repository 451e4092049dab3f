"""How the process is doing, by the system's own account: what it has worked, its memory, its open files."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path


class Vitals:
    """Shares are of what this process may have, 0 where the system does not say. `root` is where /proc and /sys are."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc/self"
        self._cgroups = root / "sys/fs/cgroup"
        self._most = 0

    def __repr__(self) -> str:
        return f"<Vitals {self.memory():.0%} of memory, {self.files():.0%} of files>"

    def worked(self) -> float:
        """Seconds of a processor that the calling thread has had."""
        return time.thread_time()

    def memory(self) -> float:
        """Resident share of the machine's memory, or of the least that one of the process's groups may have."""
        try:
            resident = int((self._proc / "statm").read_text().split()[1])
        except OSError:
            return 0.0
        page = os.sysconf("SC_PAGE_SIZE")
        if not self._most:
            self._most = min((os.sysconf("SC_PHYS_PAGES") * page, *self._allowed()))
        return resident * page / self._most

    def most_files(self) -> int:
        """File descriptors that may be open, 0 if there is no limit."""
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return 0 if most == resource.RLIM_INFINITY else most

    def files(self) -> float:
        """Share of the file descriptors that may be open."""
        most = self.most_files()
        if not most:
            return 0.0
        folder = self._proc / "fd"
        try:
            # Linux tells the number as the folder's size from 6.2 on; ten thousand names take some milliseconds.
            return (folder.stat().st_size or len(os.listdir(folder))) / most  # noqa: PTH208  # no Path for each
        except OSError:
            return 0.0

    def _allowed(self) -> Iterator[int]:
        """Bytes that the process's control groups may have, those around them too. One group holds all children."""
        try:
            lines = (self._proc / "cgroup").read_text().splitlines()
        except OSError:
            return
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield from _limits(self._cgroups, path, "memory.max")
            elif "memory" in controllers.split(","):
                yield from _limits(self._cgroups / "memory", path, "memory.limit_in_bytes")


def _limits(folder: Path, path: str, name: str) -> Iterator[int]:
    """From the outermost group in. In a container the inner ones of its path may not be there to be seen."""
    for part in ("", *path.strip("/").split("/")):
        folder /= part
        try:
            said = (folder / name).read_text().strip()
        except OSError:
            continue
        if said != "max":
            yield int(said)

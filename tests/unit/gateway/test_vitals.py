"""Memory and files as shares of what the process may have, on machines and in containers of either kind."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from gateway.vitals import Vitals

PAGE = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1024 * 1024


def machine(root: Path, files: dict[str, str]) -> Vitals:
    """A process of 50 MiB on it."""
    for name, text in {"proc/self/statm": f"99999 {50 * MEGABYTE // PAGE} 10 1 0 20 0\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Vitals(root)


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{100 * MEGABYTE}\n"},
        {
            "proc/self/cgroup": "0::/pods/one\n",
            "sys/fs/cgroup/pods/memory.max": f"{100 * MEGABYTE}\n",
            "sys/fs/cgroup/pods/one/memory.max": "max\n",
        },
        {
            "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/pod\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/pod/memory.limit_in_bytes": f"{100 * MEGABYTE}\n",
        },
        {
            "proc/self/cgroup": "4:memory:/docker/not/seen/from/inside\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{100 * MEGABYTE}\n",
        },
    ],
    ids=["v2", "v2, a group around it", "v1", "v1 in a container"],
)
def test_memory_is_measured_by_the_least_that_a_group_may_have(tmp_path: Path, files: dict[str, str]) -> None:
    assert machine(tmp_path, files).memory() == pytest.approx(0.5)


@pytest.mark.parametrize("files", [{}, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}])
def test_without_a_limit_it_is_the_machines_memory(tmp_path: Path, files: dict[str, str]) -> None:
    whole = os.sysconf("SC_PHYS_PAGES") * PAGE
    assert machine(tmp_path, files).memory() == pytest.approx(50 * MEGABYTE / whole)


def test_files_are_counted_by_name_where_the_folder_does_not_tell(tmp_path: Path) -> None:
    """As before Linux 6.2; the folder beside it has the same names, and has no size to this day."""
    vitals = machine(tmp_path, {})
    (tmp_path / "proc/self/fd").symlink_to("/proc/self/fdinfo")
    assert (tmp_path / "proc/self/fd").stat().st_size == 0
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert vitals.files() == pytest.approx(Vitals().files(), abs=1.5 / most)  # to list them opens one


def test_this_process_is_alive() -> None:
    vitals = Vitals()
    before = vitals.files()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    try:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert vitals.files() - before == pytest.approx(20 / most)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    assert 0 < vitals.memory() < 1
    assert vitals.worked() > 0
    assert "memory" in repr(vitals)


def test_where_the_system_says_nothing_nothing_is_taken_for_full(tmp_path: Path) -> None:
    vitals = Vitals(tmp_path)
    assert (vitals.memory(), vitals.files()) == (0.0, 0.0)

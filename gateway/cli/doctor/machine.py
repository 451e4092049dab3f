"""What the machine gives the process: its Python, its clock, its files."""

from __future__ import annotations

import ctypes
import platform
import resource
import sysconfig
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gateway import version
from gateway.cli.doctor.finding import Finding
from gateway.config import Config

UNSYNCHRONISED = 5
"""What adjtimex gives for it (TIME_ERROR)."""
OWN_FILES = 64
"""Descriptors of the process itself: libraries, listeners, child processes."""
OPTIMISED = ("--enable-optimizations", "'--prefix=/usr'")
"""Arguments that tell of an optimised build: distributions install into /usr; Debian optimises without the first."""


def look(config: Config) -> Iterator[Finding]:
    """As this process finds it."""
    yield python(platform.python_version(), sysconfig.get_config_var("CONFIG_ARGS"))
    yield clock(time.time(), Path(version.__file__).stat().st_mtime, _adjtimex())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield descriptors(soft, hard, config.limits.connections)


def python(number: str, build: str | None) -> Finding:
    """By the arguments that Python was built with; None where they aren't known."""
    if build is None or any(argument in build for argument in OPTIMISED):
        how = "built with profile-guided optimisation" if build else "built in a way that it does not tell"
        return Finding("ok", "python", f"{number}, {how}")
    return Finding(
        "note", "python", f"{number}, built without profile-guided optimisation: a fifth slower",
        "take your distribution's Python, or build with --enable-optimizations (docs/guides/performance.md)",
    )  # fmt: skip


def clock(now: float, installed: float, kernel: int | None) -> Finding:
    """Unix seconds, and what the kernel thinks of its clock."""
    shown = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if now < installed:
        what, todo = (
            f"{shown} is before this program was installed",
            "set the clock: certificates and keys expire by it",
        )
        return Finding("wrong", "clock", what, todo)
    if kernel == UNSYNCHRONISED:
        what = f"{shown}; the kernel says that nothing keeps it right"
        return Finding("note", "clock", what, "run an NTP service, unless the host of this machine does")
    return Finding("ok", "clock", shown)


def descriptors(soft: int, hard: int, connections: int) -> Finding:
    """A client connection may have one to a model server beside it."""
    needed = 2 * connections + OWN_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Finding("ok", "open files", f"{_number(soft)} allowed; limits.connections needs {needed}")
    how = (
        f"ulimit -n {needed}" if hard == resource.RLIM_INFINITY or hard >= needed else f"LimitNOFILE={needed} (systemd)"
    )
    return Finding(
        "note", "open files", f"{soft} allowed, but {connections} connections (limits.connections) need {needed}",
        f"raise the limit before starting: {how}; or lower limits.connections to {max(1, (soft - OWN_FILES) // 2)}",
    )  # fmt: skip


def _number(limit: int) -> str:
    return "any number" if limit == resource.RLIM_INFINITY else str(limit)


def _adjtimex() -> int | None:
    """The state of the kernel's clock; None where it can't be asked."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # zeros ask, and change nothing
    except AttributeError:  # no Linux
        return None
    return None if state < 0 else int(state)

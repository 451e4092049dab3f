"""`snowshed top` on a terminal, where it lives until Ctrl-C, and in scripts."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryFile

import pytest

from tests.flows.admin.conftest import Administration, administration
from tests.support.command_line import complaint, environment, on_terminal, snowshed
from tests.support.databases import sqlite
from tests.support.forking import Forked, forks
from tests.support.knocking import ask
from tests.support.stored import KeyBook
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Administration]:
    with administration(KeyBook(sqlite(tmp_path_factory.mktemp("book")))) as opened:
        yield opened


@pytest.fixture
def access(admin: Administration) -> dict[str, str]:
    return {
        "SNOWSHED_ADMIN_URL": f"http://127.0.0.1:{admin.port}",
        "SNOWSHED_ADMIN_KEY": admin.keys["viewer"].text,
    }


def test_once_it_prints_versions_and_replicas(access: dict[str, str]) -> None:
    ended = snowshed("top", "--once", given=b"", **access)
    assert (ended.returncode, ended.stderr) == (0, "")
    versions, replicas = (block.split("\n") for block in ended.stdout.rstrip().split("\n\n"))
    assert [line.split()[0] for line in versions] == ["VERSION", "mock@1", "other@1"]
    assert [line.split()[0] for line in replicas] == ["REPLICA", "mock-0", "other-0"]
    assert versions[1].split()[1:5] == ["0", "0", "0", "2000"]
    assert "\x1b[1mVERSION" in on_terminal("top", "--once", **access)


def test_for_machines_it_is_what_the_listener_says(access: dict[str, str]) -> None:
    told = json.loads(snowshed("top", "--json", given=b"", **access).stdout)
    assert [queue["version"] for queue in told["queues"]] == ["mock@1", "other@1"]
    assert told["replicas"][0]["limits"]["requests"]["used"] == 0


def test_what_it_can_not_do_is_told_in_a_sentence(access: dict[str, str]) -> None:
    assert "--once" in complaint(snowshed("top", given=b"", **access), 2)
    away = access | {"SNOWSHED_ADMIN_URL": "http://127.0.0.1:1"}
    assert "No gateway answers" in complaint(snowshed("top", "--once", given=b"", **away), 1)


@dataclass
class Screen:
    """A terminal, and the command that lives on it; `seen` is all that it was sent."""

    terminal: int
    command: Forked
    seen: str = ""

    def shows(self, text: str, since: int = 0) -> int:
        """Wait for it; where it ended in what was seen."""

        def found() -> int:
            with suppress(BlockingIOError):
                self.seen += os.read(self.terminal, 1 << 16).decode()
            return self.seen.find(text, since)

        return wait_until(found, lambda at: at >= 0) + len(text)


@contextmanager
def living(access: dict[str, str], columns: int = 160, rows: int = 20) -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.set_blocking(ours, False)
    try:
        with TemporaryFile() as nothing:
            command = forks().start(["top"], environment(**access), [nothing.fileno(), theirs, theirs])
        try:
            yield Screen(ours, command)
        finally:
            command.kill()
            command.wait()
    finally:
        os.close(ours)
        os.close(theirs)


def test_live_it_looks_again_until_ctrl_c_and_leaves_the_terminal_as_it_was(
    admin: Administration, access: dict[str, str]
) -> None:
    with living(access) as screen:
        first = screen.shows("other-0")
        assert ask(admin.gateway.url, admin.keys["inference"]).status_code == 200
        again = screen.shows("\x1b[H", first)
        screen.shows("mock-0", again)
        screen.shows(" 1  ", again)  # its call
        screen.command.send_signal(signal.SIGINT)
        assert screen.command.wait(PATIENCE) == 0
        screen.shows("\x1b[?25h\x1b[?1049l")
    assert "Traceback" not in screen.seen


def test_a_gateway_that_goes_is_told_and_the_view_stays(tmp_path_factory: pytest.TempPathFactory) -> None:
    with administration(KeyBook(sqlite(tmp_path_factory.mktemp("book")))) as leaving:
        where = {
            "SNOWSHED_ADMIN_URL": f"http://127.0.0.1:{leaving.port}",
            "SNOWSHED_ADMIN_KEY": leaving.keys["viewer"].text,
        }
        with living(where) as screen:
            screen.shows("other-0")
            leaving.gateway.server.should_exit = True
            at = screen.shows("UTC. No gateway answers")
            screen.shows("other-0", at)
            screen.command.send_signal(signal.SIGINT)
            assert screen.command.wait(PATIENCE) == 0


def test_on_a_small_terminal_lines_are_cut(access: dict[str, str]) -> None:
    with living(access, columns=30, rows=4) as screen:
        screen.shows("more lines")
        assert "mock-0" not in screen.seen
        screen.command.send_signal(signal.SIGINT)
        assert screen.command.wait(PATIENCE) == 0

"""The command line explains itself: help with examples, nearest names, exit statuses, completion."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli.program import COMMANDS, program
from gateway.version import VERSION
from tests.support.command_line import environment, snowshed, started
from tests.support.gateway import ROOT


def test_help_lists_every_command_in_order_and_the_exit_statuses() -> None:
    ended = snowshed("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    listed = re.findall(r"^  (\w+) {2,}\S", ended.stdout.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(COMMANDS)
    assert all(f"{status} " in ended.stdout.partition("Exit status:")[2] for status in (0, 1, 2, 130))


def every(group: click.Group, before: str = "") -> Iterator[str]:
    """Every command below, by the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        yield f"{before}{name}"
        below = group.get_command(context, name)
        if isinstance(below, click.Group):
            yield from every(below, f"{before}{name} ")


@pytest.mark.parametrize("command", [*every(program)])
def test_each_command_teaches_by_example(command: str) -> None:
    ended = started(*command.split(), "-h")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"Usage: snowshed {command}")
    if "Commands:" not in ended.stdout:
        assert f"snowshed {command}" in ended.stdout.partition("Examples:")[2]


def test_the_version_is_told_where_one_looks_for_it() -> None:
    asked = [snowshed(*words) for words in (["--version"], ["version"])]
    assert [(ended.returncode, ended.stdout, ended.stderr) for ended in asked] == [(0, f"snowshed {VERSION}\n", "")] * 2


def test_without_a_command_it_explains_itself_and_ends_with_status_2() -> None:
    ended = snowshed()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Commands:" in ended.stderr


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (["serv"], "Did you mean 'serve'?"),
        (["model", "pul"], "Did you mean 'pull'?"),
        (["serve", "--confg", "x"], "Did you mean '--config'?"),
        (["chat"], "Missing argument 'PROMPT'"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
    ],
)
def test_a_mistake_in_the_call_is_told_and_ends_with_status_2(call: list[str], words: str) -> None:
    ended = snowshed(*call)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr


def test_version() -> None:
    assert snowshed("version").stdout == f"snowshed {VERSION}\n"
    told = json.loads(snowshed("version", "--json").stdout)
    assert told["version"] == VERSION
    assert told["packages"]["uvicorn"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_one_that_its_shell_reads(shell: str) -> None:
    ended = snowshed("completion", shell)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "_SNOWSHED_COMPLETE" in ended.stdout
    if program := shutil.which(shell):  # bash is everywhere
        parsed = subprocess.run([program, "-n"], input=ended.stdout, capture_output=True, text=True, check=False)
        assert (parsed.returncode, parsed.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "at", "completed"),
    [
        ("snowshed ch", "1", "plain,chat"),
        ("snowshed serve --co", "2", "plain,--config"),
        ("snowshed model ", "2", "plain,pull"),
    ],
)
def test_what_bash_asks_for_is_completed(words: str, at: str, completed: str) -> None:
    ended = snowshed(_SNOWSHED_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=at)
    assert completed in ended.stdout.split("\n")


def test_a_full_disk_is_told_in_a_sentence() -> None:
    command = [sys.executable, "-m", "gateway", "version"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, cwd=ROOT, env=environment(), stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"snowshed: No space left on device\n")


def test_help_and_completion_are_quick_because_they_load_none_of_the_gateway() -> None:
    look = (
        "import sys, gateway.cli.program as it; it.program.get_help(it.program.make_context('snowshed', ['serve']));"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'pydantic', 'yaml', 'uvicorn', 'engines'}))"
    )
    ended = subprocess.run([sys.executable, "-c", look], cwd=ROOT, env=environment(), capture_output=True, check=True)
    assert ended.stdout == b"\n"

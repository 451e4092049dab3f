"""What the gateway says of itself: an event with its fields, one line each, in either form, without content."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from gateway import logs
from gateway.log_form import FORMS, Form, form_for

CANARY = "CANARY-7f3a"


@pytest.fixture
def logging_restored() -> Iterator[None]:
    names = ("", "uvicorn.access", "uvicorn.error", "alembic", "gateway.store.database")
    root, access, *quiet = map(logging.getLogger, names)
    before = root.handlers[:], root.level, access.disabled
    levels = [logger.level for logger in quiet]
    yield
    for mine in set(root.handlers) - set(before[0]):
        mine.close()
    root.handlers[:], root.level, access.disabled = before
    for logger, level in zip(quiet, levels, strict=True):
        logger.setLevel(level)


def configured(pipe: tuple[IO[bytes], IO[bytes]], form: Form, level: str = "debug") -> None:
    logs.configure(level, pipe[1], form)  # type: ignore[arg-type]  # only its descriptor is used


def lines(pipe: tuple[IO[bytes], IO[bytes]]) -> list[str]:
    logging.getLogger().handlers[0].flush()
    return os.read(pipe[0].fileno(), 65536).decode().splitlines()


@pytest.mark.usefixtures("logging_restored")
def test_on_a_terminal_state_changes_are_plain_lines_and_uvicorn_s_among_them(
    pipe: tuple[IO[bytes], IO[bytes]],
) -> None:
    configured(pipe, "console", "info")
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("uvicorn.error").warning("Odd", extra={"color_message": "\x1b[1mOdd"})
    logging.getLogger("uvicorn.access").info("GET /v1?%s", CANARY)
    logging.getLogger("snowshed").debug("too fine")
    logging.getLogger("snowshed").warning("two\nlines", extra={"replica": "a-0", "reason": "it is\naway", "n": 3})
    first, second = lines(pipe)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING uvicorn.error: Odd", first)
    assert second.endswith(r'WARNING snowshed: two\nlines replica=a-0 reason="it is\naway" n=3')


@pytest.mark.usefixtures("logging_restored")
def test_elsewhere_each_is_an_object_with_the_event_s_fields(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    configured(pipe, "json", "info")
    logging.getLogger("uvicorn.error").error("Odd %d", 7, extra={"color_message": "\x1b[1mOdd"})
    logging.getLogger("snowshed").debug("too fine")
    logging.getLogger("snowshed").warning("two\nlines", extra={"reason": 'it "is"\naway', "n": 3, "path": Path("/a")})
    first, second = (json.loads(line) for line in lines(pipe))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {"level": "error", "logger": "uvicorn.error", "event": "Odd 7"}
    assert list(second)[:4] == ["time", "level", "logger", "event"]
    assert second["event"] == "two\nlines"
    assert (second["reason"], second["n"], second["path"]) == ('it "is"\naway', 3, "/a")


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("form", FORMS)
def test_half_a_character_can_be_told(pipe: tuple[IO[bytes], IO[bytes]], form: Form) -> None:
    """A path that is no UTF-8, as Python hands it out."""
    configured(pipe, form)
    logging.getLogger("snowshed").info("read", extra={"file": os.fsdecode(b"/a\xff")})
    (line,) = lines(pipe)
    assert r"\udcff" in line


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("form", FORMS)
def test_p32_an_exception_is_logged_by_type_and_place(pipe: tuple[IO[bytes], IO[bytes]], form: Form) -> None:
    """P32: exceptions quote what they choke on: their text and that of their causes stay out, at DEBUG too."""
    configured(pipe, form)
    try:
        try:
            json.loads(f"{CANARY}")
        except ValueError as error:
            raise RuntimeError(CANARY) from error
    except RuntimeError:
        logging.getLogger("gateway").exception("it broke")
    (line,) = lines(pipe)
    assert "it broke" in line
    assert re.search(r"RuntimeError at test_logs.py:\d+ test_p32\S+ caused by JSONDecodeError at decoder.py:\d+", line)
    assert CANARY not in line


def test_a_group_of_exceptions_is_told_with_what_is_in_it() -> None:
    """Else a start that failed would only be told to have failed."""

    def choke() -> None:
        raise ValueError(CANARY)

    with pytest.raises(ValueError, match=CANARY) as choked:
        choke()
    told = logs.describe(ExceptionGroup(CANARY, [ExceptionGroup(CANARY, [choked.value]), OSError(CANARY)]))
    inner = r"ExceptionGroup at no place of \[ValueError at test_logs.py:\d+ choke < test_logs.py:\d+ test_a_group\S+\]"
    assert re.fullmatch(rf"ExceptionGroup at no place of \[{inner}; OSError at no place\]", told)


@pytest.mark.parametrize("hidden", [True, False])
def test_what_was_raised_out_of_a_group_is_told_once(hidden: bool) -> None:
    """Its context is the group that it is in."""

    def choke() -> None:
        try:
            raise ExceptionGroup(CANARY, [ValueError(CANARY)])
        except ExceptionGroup as several:
            if hidden:
                raise several.exceptions[0] from None
            raise several.exceptions[0]  # noqa: B904  # as libraries do

    with pytest.raises(ValueError, match=CANARY) as choked:
        choke()
    told = logs.describe(choked.value)
    assert told.count("ValueError") == 1
    assert ("ExceptionGroup" in told) != hidden


@pytest.mark.usefixtures("logging_restored")
async def test_p32_what_the_loop_reports_shows_no_content(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """P32: asyncio's own report prints a callback's arguments (chunks, for instance) and the exception's text."""
    configured(pipe, "console")
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.report_loop_error)

    def break_on(data: bytes) -> None:
        raise ValueError(data)

    loop.call_soon(break_on, CANARY.encode())
    await asyncio.sleep(0)
    (line,) = [line for line in lines(pipe) if "ERROR" in line]
    assert "Exception in callback" in line
    assert "ValueError at test_logs.py" in line
    assert CANARY not in line


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("form", FORMS)
def test_a_message_that_does_not_fit_breaks_nothing(pipe: tuple[IO[bytes], IO[bytes]], form: Form) -> None:
    configured(pipe, form)
    logging.getLogger("gateway").info("%d", CANARY)
    (line,) = lines(pipe)
    assert "could not be formatted" in line
    assert CANARY not in line
    assert form == "console" or json.loads(line)["logger"] == "gateway"


def test_a_person_at_a_terminal_gets_plain_lines_and_all_else_json() -> None:
    terminal, far_end = os.openpty()
    with open(far_end, "w") as screen, open(os.devnull, "w") as file, open(terminal, "rb"):  # noqa: PTH123 (descriptors)
        assert form_for(screen) == "console"
        assert form_for(file) == "json"
        assert form_for(screen, "json") == "json"
        assert form_for(file, "console") == "console"


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("name", ["uvicorn.error", "alembic.runtime.migration", "gateway.store.database._Pool"])
@pytest.mark.parametrize(("level", "heard"), [("debug", 4), ("info", 2), ("warning", 2), ("error", 1)])
def test_of_others_words_what_repeats_our_events_is_for_debugging(
    pipe: tuple[IO[bytes], IO[bytes]], name: str, level: str, heard: int
) -> None:
    configured(pipe, "json", level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger(name).log(number, "said")
    assert len(lines(pipe)) == heard

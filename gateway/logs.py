"""What the gateway says of its own state: an event with its fields, a line each, never content."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, TextIO

import msgspec

from gateway.line_writer import LineWriter
from gateway.log_form import Form, Timestamps

_CHATTY: Final = ("uvicorn.error", "alembic", "gateway.store.database")
"""Whose words of start and stop our own events say; in the last one's name SQLAlchemy speaks of a pool of ours."""
_UVICORN: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def configure(level: str, stream: TextIO, form: Form = "json") -> None:
    """Send the standard library's logging, uvicorn's included, to `stream`'s descriptor in one of the two forms.

    Of uvicorn's, Alembic's and SQLAlchemy's, warnings and errors are kept, at debug level all. Access lines are off:
    they quote paths and queries, and every request has its own line already. The process's last lines are written when
    it exits; `level` is one of `log_form.LEVELS` in any case.
    """
    lines = _Lines(LineWriter(stream.fileno()))
    lines.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    least = max(logging.getLevelNamesMapping()[level.upper()], logging.DEBUG)
    logging.basicConfig(level=least, handlers=[lines], force=True)
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    for name in _CHATTY:
        logging.getLogger(name).setLevel(least if least == logging.DEBUG else max(least, logging.WARNING))


def report_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """For `loop.set_exception_handler`: the default one prints callbacks' arguments and exceptions' texts."""
    message = re.split(r"[<(]", context.get("message", "Unhandled error"), maxsplit=1)[0].strip()
    logging.getLogger("snowshed").error("%s", message, exc_info=context.get("exception"))


class _Lines(logging.Handler):
    """Formats in the caller's thread, writes in the writer's."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 (a message that doesn't fit its arguments must not break who logs it)
            said = f"a message of line {record.lineno} could not be formatted"
            line = self.format(logging.LogRecord(record.name, record.levelno, "", record.lineno, said, None, None))
        self._writer.write(f"{line}\n".encode(errors="backslashreplace"))

    def flush(self) -> None:
        self._writer.flush(1.0)


class _Formatter(logging.Formatter):
    """Of an exception the types and places, never its text: texts quote what went wrong, a prompt or a key maybe."""

    def __init__(self) -> None:
        super().__init__()
        self._times = Timestamps()

    def formatException(  # noqa: N802 (the base class's name)
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return describe(ei[1]) if ei[1] else ""

    def time(self, record: logging.LogRecord) -> str:
        return self._times.of(int(record.created * 1000))

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What was given as `extra`, and the exception."""
        found = {name: value for name, value in vars(record).items() if name not in _BUILT_IN}
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return found


class JsonFormatter(_Formatter):
    """An object with `time`, `level`, `logger`, `event` and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **self.fields(record),
        }
        try:
            return msgspec.json.encode(line, enc_hook=str).decode()
        except UnicodeEncodeError:  # half a character, of a path for instance: the standard library escapes it
            return json.dumps(line, default=str)


class ConsoleFormatter(_Formatter):
    """`time LEVEL logger: event field=value`, always one line."""

    def format(self, record: logging.LogRecord) -> str:
        said = f"{self.time(record)} {record.levelname:<7} {record.name}: {record.getMessage()}"
        line = " ".join((said, *(f"{name}={_shown(value)}" for name, value in self.fields(record).items())))
        return line.replace("\r", "\\r").replace("\n", "\\n")


_BUILT_IN: Final[Mapping[str, Any]] = {
    **vars(logging.makeLogRecord({})), "message": "", "taskName": None, "color_message": "uvicorn's, for terminals"
}  # fmt: skip


def _shown(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r'[^\s"=]+', text) else json.dumps(text, ensure_ascii=False)


def describe(exc: BaseException) -> str:
    """An exception, its causes and what it groups, by type and place, without their texts, on one line."""
    return _described(exc, set())


def _described(exc: BaseException, told: set[int]) -> str:
    """Each once: what is raised out of a group has it as its context."""
    parts = []
    cause: BaseException | None = exc
    while cause is not None and id(cause) not in told:
        told.add(id(cause))
        parts.append(_place(cause, told))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return " caused by ".join(parts)


def _place(exc: BaseException, told: set[int]) -> str:
    frames = traceback.extract_tb(exc.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    place = f"{type(exc).__qualname__} at {' < '.join(places) or 'no place'}"
    if isinstance(exc, BaseExceptionGroup):
        place += f" of [{'; '.join(_described(one, told) for one in exc.exceptions if id(one) not in told)}]"
    return place

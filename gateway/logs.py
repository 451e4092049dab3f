"""What the gateway writes down: one wide JSON line per request, and plain lines when its own state changes."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, TextIO

import msgspec

from gateway.accounts import Record
from gateway.line_writer import LineWriter
from gateway.tallies import code_label

_UVICORN: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class Line(msgspec.Struct, gc=False):
    """What is logged of one request; see `docs/guides/observability.md`. Null stands for what did not happen."""

    time: str
    id: str
    client_request_id: str
    kind: str
    model: str
    replica: str
    stream: bool
    status: int
    code: str
    outcome: str
    client_gone: bool
    attempts: int
    duration_ms: float
    body_ms: float | None
    queue_ms: float
    first_token_ms: float | None
    overhead_ms: float
    gap_max_ms: float
    chunks: int
    body_bytes: int
    sent_bytes: int
    prompt_tokens: int
    completion_tokens: int
    usage_exact: bool


class RequestLog:
    """One line of JSON per finished request to a descriptor, never content. `write` and `close` are the loop's."""

    def __init__(self, fd: int = 1) -> None:
        self._writer = LineWriter(fd)
        self._encoder = msgspec.json.Encoder()
        self._second = -1
        self._prefix = ""

    def __repr__(self) -> str:
        return f"<RequestLog on {self._writer!r}>"

    @property
    def lost(self) -> int:
        """Lines that nobody took in time."""
        return self._writer.lost

    def write(self, records: Iterable[Record]) -> None:
        """Log finished requests, in their order; returns at once."""
        lines = [self._line(record) for record in records]
        if lines:
            self._writer.write(self._encoder.encode_lines(lines), len(lines))

    def flush(self, timeout: float) -> bool:
        """Wait for the descriptor's reader for at most `timeout` seconds; whether it took everything."""
        return self._writer.flush(timeout)

    def _line(self, record: Record) -> Line:
        start, body, first = record.headers_at, record.body_at, record.first_at
        return Line(  # by position: names cost twice as much
            self._time(record.unix_ms),
            record.id,
            record.label,
            record.kind,
            record.model,
            record.replica,
            record.stream,
            record.status,
            code_label(record.code) if record.code else "",
            record.outcome,
            record.client_gone,
            record.attempts,
            _ms(record.ended_at - start),
            _ms(body - start) if body else None,
            _ms(record.queued),
            _ms(first - start) if first else None,
            _ms(record.overhead),
            _ms(record.gap_max),
            record.chunks,
            record.body_bytes,
            record.sent_bytes,
            record.prompt_tokens,
            record.completion_tokens,
            record.usage_exact,
        )

    def _time(self, unix_ms: int) -> str:
        """RFC 3339, UTC, milliseconds. Requests of one second share the work of the long part."""
        second, ms = divmod(unix_ms, 1000)
        if second != self._second:
            self._second, self._prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._prefix}.{ms:03d}Z"


def _ms(seconds: float) -> float:
    """Milliseconds with at most three decimals (five times as fast as `round`)."""
    return int(seconds * 1e6 + 0.5) / 1e3


def configure(level: str, stream: TextIO) -> None:
    """Send the standard library's logging, uvicorn's included, to `stream`'s descriptor as plain lines.

    Access lines are off: they quote paths and queries, and every request has its own line already. The process's last
    lines are written when it exits; `level` is one of logging's names in any case.
    """
    lines = _Lines(LineWriter(stream.fileno()))
    lines.setFormatter(PlainFormatter())
    logging.basicConfig(
        level=max(logging.getLevelNamesMapping()[level.upper()], logging.DEBUG), handlers=[lines], force=True
    )
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True


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
            line = f"A log message of {record.name}, line {record.lineno}, could not be formatted."
        self._writer.write(f"{line}\n".encode(errors="backslashreplace"))

    def flush(self) -> None:
        self._writer.flush(1.0)


class PlainFormatter(logging.Formatter):
    """`time LEVEL logger: message`, always one line; of an exception the types and places, never its text.

    Exceptions' texts quote what went wrong, which may be a prompt or a key.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")

    def formatException(  # noqa: N802 (the base class's name)
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return describe(ei[1]) if ei[1] else ""


def describe(exc: BaseException) -> str:
    """An exception and its causes by type and place, without their texts, on one line."""
    parts = []
    cause: BaseException | None = exc
    while cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
        parts.append(f"{type(cause).__qualname__} at {' < '.join(places) or 'no place'}")
        cause = cause.__cause__ or cause.__context__
    return " caused by ".join(parts)

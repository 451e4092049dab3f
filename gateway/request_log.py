"""One line per finished request, in either form, on its way to a descriptor; never content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from gateway.accounts import Record
from gateway.line_writer import LineWriter
from gateway.log_form import Form, Timestamps
from gateway.log_line import Line
from gateway.tallies import code_label
from router.fair_queue import RANKS


class Lines(Protocol):
    """Renders finished requests, a line each."""

    def render(self, records: Iterable[Record]) -> bytes: ...


class JsonLines:
    """All of each record, as an object."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._times = Timestamps()

    def __repr__(self) -> str:
        return f"<JsonLines {self._times!r}>"

    def render(self, records: Iterable[Record]) -> bytes:
        return self._encoder.encode_lines([self._line(record) for record in records])

    def _line(self, record: Record) -> Line:
        start, body, first, code = record.headers_at, record.body_at, record.first_at, record.code
        return Line(  # by position: names cost twice as much
            self._times.of(record.unix_ms),
            record.id,
            record.label,
            record.kind,
            record.model,
            record.version,
            record.why,
            record.fallback,
            record.replica,
            record.stream,
            record.status,
            code_label(code) if code else "",
            record.reason,
            record.outcome,
            record.client_gone,
            record.attempts,
            # Milliseconds with at most three decimals: five times as fast as `round`, and no call of ours for each.
            int((record.ended_at - start) * 1e6 + 0.5) / 1e3,
            int((body - start) * 1e6 + 0.5) / 1e3 if body else None,
            int(record.queued * 1e6 + 0.5) / 1e3 if record.queued else 0.0,
            int((first - start) * 1e6 + 0.5) / 1e3 if first else None,
            int(record.overhead * 1e6 + 0.5) / 1e3,
            int(record.gap_max * 1e6 + 0.5) / 1e3 if record.gap_max else 0.0,
            record.chunks,
            record.body_bytes,
            record.sent_bytes,
            record.prompt_tokens,
            record.completion_tokens,
            record.usage_exact,
            record.output_cap,
            record.cut,
            record.tenant,
            record.key,
            RANKS[record.rank],
        )


class ConsoleLines:
    """What one wants to see go by: when it ended, what it was, how it went, how long it took."""

    def __init__(self) -> None:
        self._times = Timestamps()

    def __repr__(self) -> str:
        return f"<ConsoleLines {self._times!r}>"

    def render(self, records: Iterable[Record]) -> bytes:
        return "".join(self._line(record) for record in records).encode()

    def _line(self, record: Record) -> str:
        start = record.headers_at
        seconds = record.ended_at - start
        words = [
            self._times.of(record.unix_ms + round(seconds * 1000)),
            "REQUEST",
            record.kind,
            record.model or "-",
            *_told(record),
            f"{seconds:.3f}s",
        ]
        if record.stream and record.first_at:
            words.append(f"first={record.first_at - start:.3f}s")
        if record.prompt_tokens or record.completion_tokens:
            words.append(f"tokens={record.prompt_tokens}+{record.completion_tokens}")
        if record.attempts > 1:
            words.append(f"attempts={record.attempts}")
        if record.why not in ("", "only"):
            words.append(f"version={record.version}")
        if record.fallback:
            words.append(f"fallback={record.fallback}")
        if record.replica:
            words.append(f"replica={record.replica}")
        if record.tenant:
            words.append(f"tenant={record.tenant}")
        words.append(record.id)
        return " ".join(words) + "\n"


def _told(record: Record) -> Iterator[str]:
    yield str(record.status or "-")
    if record.code:
        yield code_label(record.code)
    if record.reason:
        yield f"reason={record.reason}"


_LINES: Final[Mapping[Form, Callable[[], Lines]]] = {"console": ConsoleLines, "json": JsonLines}


class RequestLog:
    """Finished requests to a descriptor. Its methods are the loop's."""

    def __init__(self, fd: int = 1, form: Form = "json") -> None:
        self._writer = LineWriter(fd)
        self._lines = _LINES[form]()

    def __repr__(self) -> str:
        return f"<RequestLog of {self._lines!r} on {self._writer!r}>"

    @property
    def lost(self) -> int:
        """Lines that nobody took in time."""
        return self._writer.lost

    def write(self, records: Sequence[Record]) -> None:
        """Log finished requests, in their order; returns at once."""
        if records:
            self._writer.write(self._lines.render(records), len(records))

    def flush(self, timeout: float) -> bool:
        """Wait for the descriptor's reader for at most `timeout` seconds; whether it took everything."""
        return self._writer.flush(timeout)

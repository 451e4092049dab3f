"""What is written down: every request once, on one line, without content, and without ever waiting for the reader."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from typing import IO, Any

import pytest

from gateway import logs
from gateway.accounts import Record
from gateway.line_writer import LineWriter
from gateway.logs import RequestLog

CANARY = "CANARY-7f3a"


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A pipe's two ends, for reading and for writing."""
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "wb", buffering=0) as writer:  # noqa: PTH123 (descriptors)
        yield reader, writer


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root, access = logging.getLogger(), logging.getLogger("uvicorn.access")
    before = root.handlers[:], root.level, access.disabled
    yield
    for mine in set(root.handlers) - set(before[0]):
        mine.close()
    root.handlers[:], root.level, access.disabled = before


def record(n: int = 1, label: str = "", **changes: Any) -> Record:
    made = Record(f"req_{n}", label, "chat", 100.0, 0)
    made.unix_ms = 1_700_000_000_007
    made.ended_at = 100.0123456
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def logged(pipe: tuple[IO[bytes], IO[bytes]], *records: Record) -> list[dict[str, Any]]:
    log = RequestLog(pipe[1].fileno())
    log.write(records)
    assert log.flush(5)
    return [json.loads(pipe[0].readline()) for _ in records]


def test_a_request_is_one_line_with_all_of_its_record(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    values: dict[str, Any] = {
        "model": "tiny", "replica": "a", "stream": True, "status": 200, "outcome": "success", "attempts": 2,
        "body_at": 100.001, "dispatched_at": 100.002, "first_at": 100.3, "gap_max": 0.0605, "queued": 0.25,
        "overhead": 0.0001234, "chunks": 3, "body_bytes": 17, "sent_bytes": 170, "prompt_tokens": 7,
        "completion_tokens": 11, "usage_exact": True, "ended_at": 102.3,
    }  # fmt: skip
    (line,) = logged(pipe, record(label="mine-1", **values))
    assert line == {
        "time": "2023-11-14T22:13:20.007Z", "id": "req_1", "client_request_id": "mine-1", "kind": "chat",
        "model": "tiny", "replica": "a", "stream": True, "status": 200, "code": "", "outcome": "success",
        "client_gone": False, "attempts": 2, "duration_ms": 2300.0, "body_ms": 1.0, "queue_ms": 250.0,
        "first_token_ms": 300.0, "overhead_ms": 0.123, "gap_max_ms": 60.5, "chunks": 3, "body_bytes": 17,
        "sent_bytes": 170, "prompt_tokens": 7, "completion_tokens": 11, "usage_exact": True,
    }  # fmt: skip


def test_what_did_not_happen_is_null_and_durations_have_three_decimals(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    (line,) = logged(pipe, record())
    assert line["first_token_ms"] is None
    assert line["body_ms"] is None
    assert line["duration_ms"] == 12.346


def test_p32_a_caller_s_words_stand_in_the_validated_label_alone(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """P32: callers fill one member of a record; an error code that is a sentence comes from a model server."""
    (line,) = logged(pipe, record(label=CANARY, code=f"Invalid value {CANARY}", status=400))
    assert line.pop("client_request_id") == CANARY
    assert CANARY not in json.dumps(line)
    assert line["code"] == "other"


def test_a_label_can_not_forge_a_line(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    first, second = logged(pipe, record(1, label='a"}\n{"id":"forged'), record(2))
    assert (first["id"], second["id"]) == ("req_1", "req_2")


def test_a_stuck_reader_costs_lines_and_no_time(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    writer = LineWriter(pipe[1].fileno(), bound=300_000)
    line = b"x" * 999 + b"\n"
    start = time.monotonic()
    for _ in range(1000):
        writer.write(line)
    assert time.monotonic() - start < 2
    assert 600 <= writer.lost <= 750, "what fits into the pipe and into the bound is kept, the rest counted"
    assert not writer.flush(0.01)
    kept = 1000 - writer.lost
    assert [pipe[0].readline() for _ in range(kept)] == [line] * kept
    assert writer.flush(5)


def test_a_reader_that_left_costs_lines_only(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    pipe[0].close()
    log = RequestLog(pipe[1].fileno())
    log.write([record(1), record(2)])
    assert log.flush(5)
    assert log.lost == 2


def test_a_non_blocking_descriptor_gets_everything(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    os.set_blocking(pipe[1].fileno(), False)
    writer = LineWriter(pipe[1].fileno())
    data = b"".join(b"%d\n" % n for n in range(100_000))
    writer.write(data, 100_000)
    received = bytearray()
    reader = threading.Thread(target=lambda: received.extend(pipe[0].read(len(data))))
    reader.start()
    reader.join(20)
    assert received == data
    assert writer.flush(5)
    assert writer.lost == 0


def test_logging_a_request_is_cheap() -> None:
    """3 µs a record where nothing else runs; ten times that is a fault."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (a descriptor is wanted)
        log, batch = RequestLog(nowhere.fileno()), [record(n, first_at=100.1, body_at=100.1) for n in range(2000)]
        costs = []
        for _ in range(5):
            start = time.thread_time()
            log.write(batch)
            costs.append((time.thread_time() - start) / len(batch))
            assert log.flush(5)
    assert min(costs) < 30e-6


def configured(pipe: tuple[IO[bytes], IO[bytes]], level: str = "debug") -> None:
    logs.configure(level, pipe[1])  # type: ignore[arg-type]  # only its descriptor is used


def lines(pipe: tuple[IO[bytes], IO[bytes]]) -> list[str]:
    logging.getLogger().handlers[0].flush()
    return os.read(pipe[0].fileno(), 65536).decode().splitlines()


@pytest.mark.usefixtures("logging_restored")
def test_state_changes_are_plain_lines_and_uvicorn_s_among_them(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    configured(pipe, "info")
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("uvicorn.access").info("GET /v1?%s", CANARY)
    logging.getLogger("gateway").debug("too fine")
    logging.getLogger("gateway").warning("two\nlines")
    first, second = lines(pipe)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    uvicorn.error: Started", first)
    assert second.endswith(r"WARNING gateway: two\nlines")


@pytest.mark.usefixtures("logging_restored")
def test_p32_an_exception_is_logged_by_type_and_place(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """P32: exceptions quote what they choke on: their text and that of their causes stay out, at DEBUG too."""
    configured(pipe)
    try:
        try:
            json.loads(f"{CANARY}")
        except ValueError as error:
            raise RuntimeError(CANARY) from error
    except RuntimeError:
        logging.getLogger("gateway").exception("It broke.")
    (line,) = lines(pipe)
    assert "It broke." in line
    assert re.search(r"RuntimeError at test_logs.py:\d+ test_p32\S+ caused by JSONDecodeError at decoder.py:\d+", line)
    assert CANARY not in line


@pytest.mark.usefixtures("logging_restored")
async def test_p32_what_the_loop_reports_shows_no_content(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """P32: asyncio's own report prints a callback's arguments (chunks, for instance) and the exception's text."""
    configured(pipe)
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
def test_a_message_that_does_not_fit_breaks_nothing(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    configured(pipe)
    logging.getLogger("gateway").info("%d", CANARY)
    (line,) = lines(pipe)
    assert "could not be formatted" in line
    assert CANARY not in line

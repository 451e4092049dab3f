"""What is written down of requests: each once, on one line, without content, never waiting for the reader."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import IO, Any

from gateway.accounts import Record
from gateway.line_writer import LineWriter
from gateway.request_log import RequestLog
from tests.support.waiting import PATIENCE

CANARY = "CANARY-7f3a"


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
    assert log.flush(PATIENCE)
    return [json.loads(pipe[0].readline()) for _ in records]


def test_a_request_is_one_line_with_all_of_its_record(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    values: dict[str, Any] = {
        "model": "tiny", "version": "tiny@2", "why": "rule 1", "fallback": "overload",
        "replica": "a", "stream": True, "status": 200, "outcome": "success", "attempts": 2,
        "body_at": 100.001, "dispatched_at": 100.002, "first_at": 100.3, "gap_max": 0.0605, "queued": 0.25,
        "overhead": 0.0001234, "chunks": 3, "body_bytes": 17, "sent_bytes": 170, "prompt_tokens": 7,
        "completion_tokens": 11, "usage_exact": True, "output_cap": 11, "cut": True, "ended_at": 102.3,
        "tenant": "acme", "key": "0123456789ab", "rank": 2, "reason": "too_late",
    }  # fmt: skip
    (line,) = logged(pipe, record(label="mine-1", **values))
    assert line == {
        "event": "request", "time": "2023-11-14T22:13:20.007Z", "id": "req_1", "client_request_id": "mine-1",
        "kind": "chat", "model": "tiny", "version": "tiny@2", "why": "rule 1", "fallback": "overload",
        "replica": "a", "stream": True, "status": 200, "code": "", "reason": "too_late",
        "outcome": "success",
        "client_gone": False, "attempts": 2, "duration_ms": 2300.0, "body_ms": 1.0, "queue_ms": 250.0,
        "first_token_ms": 300.0, "overhead_ms": 0.123, "gap_max_ms": 60.5, "chunks": 3, "body_bytes": 17,
        "sent_bytes": 170, "prompt_tokens": 7, "completion_tokens": 11, "usage_exact": True,
        "output_cap": 11, "cut": True, "tenant": "acme", "key": "0123456789ab", "class": "batch",
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
    assert writer.flush(PATIENCE)


def test_a_reader_that_left_costs_lines_only(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    pipe[0].close()
    log = RequestLog(pipe[1].fileno())
    log.write([record(1), record(2)])
    assert log.flush(PATIENCE)
    assert log.lost == 2


def test_a_non_blocking_descriptor_gets_everything(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    os.set_blocking(pipe[1].fileno(), False)
    writer = LineWriter(pipe[1].fileno())
    data = b"".join(b"%d\n" % n for n in range(100_000))
    writer.write(data, 100_000)
    received = bytearray()
    reader = threading.Thread(target=lambda: received.extend(pipe[0].read(len(data))))
    reader.start()
    reader.join(PATIENCE)
    assert received == data
    assert writer.flush(PATIENCE)
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
            assert log.flush(PATIENCE)
    assert min(costs) < 30e-6


def shown(pipe: tuple[IO[bytes], IO[bytes]], made: Record) -> str:
    log = RequestLog(pipe[1].fileno(), "console")
    log.write([made])
    assert log.flush(PATIENCE)
    return pipe[0].readline().decode()


def test_on_a_terminal_a_stream_is_one_short_line_that_begins_with_its_end(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    values: dict[str, Any] = {
        "model": "tiny", "replica": "tiny-0", "stream": True, "status": 200, "outcome": "success", "attempts": 2,
        "first_at": 100.3, "prompt_tokens": 7, "completion_tokens": 11, "ended_at": 102.3, "tenant": "acme",
    }  # fmt: skip
    assert shown(pipe, record(**values)) == (
        "2023-11-14T22:13:22.307Z REQUEST chat tiny 200 2.300s first=0.300s tokens=7+11 attempts=2 replica=tiny-0 "
        "tenant=acme req_1\n"
    )


def test_on_a_terminal_a_version_shows_where_there_are_several(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    line = shown(pipe, record(model="tiny", version="tiny@2", why="weights", fallback="outage", replica="tiny@2-0"))
    assert " version=tiny@2 fallback=outage replica=tiny@2-0 " in line
    assert "version" not in shown(pipe, record(model="tiny", version="tiny@1", why="only", replica="tiny-0"))


def test_on_a_terminal_a_refusal_shows_its_code_and_no_words_of_anyone(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    line = shown(pipe, record(label=f"{CANARY}\n", code="model_not_found", status=404))
    assert line == "2023-11-14T22:13:20.019Z REQUEST chat - 404 model_not_found 0.012s req_1\n"
    line = shown(pipe, record(code="overloaded", reason="queue_full", status=503))
    assert " - 503 overloaded reason=queue_full 0.012s " in line
    assert " - - other " in shown(pipe, record(code=f"no {CANARY}"))

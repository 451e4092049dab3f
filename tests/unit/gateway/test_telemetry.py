"""Each beat carries what has finished into metrics and log; the last ones go when the gateway closes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from typing import IO

import pytest

from engines.sweeper import TICK
from gateway.accounts import Accounts, Record
from gateway.heartbeat import Heartbeat
from gateway.metrics import Metrics
from gateway.recent import Recent
from gateway.request_log import RequestLog
from gateway.telemetry import Telemetry


class Parts:
    """A telemetry on a pipe, with all it stands on."""

    def __init__(self, reader: IO[bytes], write: int) -> None:
        self.reader = reader
        self.accounts = Accounts(lambda: 101.0, bound=10)
        self.metrics = Metrics("1")
        self.heartbeat = Heartbeat(lambda: 100.0)
        self.recent = Recent()
        log = RequestLog(write)
        self.telemetry = Telemetry(self.accounts, self.metrics, log, self.recent, self.heartbeat)

    def finish(self, n: int) -> None:
        record = Record(f"req_{n}", "", "chat", 100.0, 0)
        with self.accounts.open(record):
            record.model = "tiny"

    def ids(self, count: int) -> list[str]:
        return [json.loads(self.reader.readline())["id"] for _ in range(count)]

    def shown(self) -> set[str]:
        return set(self.metrics.render().decode().splitlines())


@pytest.fixture
def parts() -> Iterator[Parts]:
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "wb") as _:  # noqa: PTH123 (descriptors)
        made = Parts(reader, write)
        yield made
        made.telemetry.close()  # a line still to be written would land in whatever gets the descriptor's number next


REQUESTS = 'snowshed_requests_total{kind="chat",model="tiny",version="none",outcome="ignored",code="none"}'


def test_a_beat_folds_and_logs_what_finished_since_the_last(parts: Parts) -> None:
    parts.finish(1)
    parts.finish(2)
    parts.telemetry.beat(100.25)
    assert parts.ids(2) == ["req_1", "req_2"]
    assert parts.recent.find("req_2")
    assert f"{REQUESTS} 2" in parts.shown()
    assert parts.heartbeat.age(100.5) == 0.25
    parts.finish(3)
    parts.telemetry.beat(100.5)
    assert parts.ids(1) == ["req_3"]
    assert f"{REQUESTS} 3" in parts.shown()


def test_gauges_are_read_on_each_beat(parts: Parts) -> None:
    for n in range(11):
        parts.finish(n)
    with parts.accounts.open(Record("req_x", "", "chat", 100.0, 0)):
        parts.telemetry.beat(100.25)
        parts.telemetry.beat(100.75 + TICK)
        lag = parts.heartbeat.lag
        assert lag == pytest.approx(0.5)
        assert {
            "snowshed_in_flight 1", "snowshed_records_lost_total 5", f"snowshed_loop_lag_seconds {lag}",
        } <= parts.shown()  # fmt: skip


def test_closing_folds_and_flushes_the_rest(parts: Parts) -> None:
    parts.finish(1)
    parts.telemetry.close()
    assert parts.ids(1) == ["req_1"]
    assert f"{REQUESTS} 1" in parts.shown()


def test_a_record_that_can_not_be_counted_stops_no_beat(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    broken = Record("req_0", "", "chat", 100.0, 0)
    broken.prompt_tokens = "many"  # type: ignore[assignment]
    parts.accounts.book(broken)
    with caplog.at_level(logging.ERROR):
        parts.telemetry.beat(100.25)
    assert "requests not counted" in caplog.messages
    parts.finish(1)
    parts.telemetry.beat(100.5)
    assert parts.ids(1) == ["req_1"]

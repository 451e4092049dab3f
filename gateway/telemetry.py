"""Carries finished records into metrics, log and memory: on each beat of the event loop, and once more at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from gateway.accounts import Accounts, Record
from gateway.heartbeat import Heartbeat
from gateway.metrics import Metrics
from gateway.recent import Recent
from gateway.request_log import RequestLog

_logger = logging.getLogger("snowshed")


class Telemetry:
    """The only reader of the accounts. `beat` is for `Sweeper.run`; all methods belong to the loop.

    `keep` gets them, too, where there is a ledger.
    """

    def __init__(
        self,
        accounts: Accounts,
        metrics: Metrics,
        log: RequestLog,
        recent: Recent,
        heartbeat: Heartbeat,
        keep: Callable[[Sequence[Record]], None] | None = None,
    ) -> None:
        self._accounts = accounts
        self._metrics = metrics
        self._log = log
        self._recent = recent
        self._heartbeat = heartbeat
        self._keep = keep

    def __repr__(self) -> str:
        return f"<Telemetry of {self._accounts!r}, {self._heartbeat!r}>"

    def beat(self, now: float) -> None:
        """Note that the loop came round at `now`, and fold what finished since the last time. Never raises."""
        self._heartbeat.beat(now)
        self.fold()

    def fold(self) -> None:
        """What has finished since the last time. Never raises."""
        try:
            self._fold()
        except Exception:  # the sweep that calls this carries every timer: a bug in counting must not stop it
            _logger.exception("requests not counted")

    def close(self, timeout: float = 2.0) -> None:
        """Fold the rest, and wait `timeout` seconds for the log's reader to take it. For after the last request."""
        self.fold()
        self._log.flush(timeout)

    def _fold(self) -> None:
        records = self._accounts.take()
        self._metrics.fold(records)
        self._log.write(records)
        self._recent.keep(records)
        if self._keep is not None:
            self._keep(records)
        self._metrics.gauges(
            in_flight=self._accounts.in_flight,
            loop_lag=self._heartbeat.lag,
            records_lost=self._accounts.lost,
            lines_lost=self._log.lost,
        )

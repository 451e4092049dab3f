"""The time limits of calls, with one timer for all of them."""

from __future__ import annotations

import asyncio

from engines.grpc.api import Code
from engines.grpc.http2.frames import ErrorCode
from engines.grpc.http2.status import Ending
from engines.grpc.http2.stream import Stream

GRAIN = 0.01
"""Seconds between two looks, at least: a deadline may be told so much late."""
PASSED = Ending(Code.DEADLINE_EXCEEDED, "the call took longer than it may")


class Deadlines:
    """Ends the calls whose `due` has come. The timer is set for the earliest, which may have ended since."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = 0.0

    def __repr__(self) -> str:
        return f"<Deadlines {len(self._streams)} calls>"

    def add(self, stream: Stream) -> None:
        assert stream.due is not None
        self._streams.add(stream)
        if self._timer is None or stream.due < self._look_at:
            self._set(stream.due)

    def discard(self, stream: Stream) -> None:
        self._streams.discard(stream)

    def close(self) -> None:
        self._streams.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._look_at = when
        self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for stream in [stream for stream in self._streams if stream.due is not None and stream.due <= now]:
            self._streams.discard(stream)
            stream.abandon(PASSED, ErrorCode.CANCEL)
        if self._streams:
            self._set(max(now + GRAIN, min(stream.due or 0.0 for stream in self._streams)))

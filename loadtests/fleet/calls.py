"""What happened to each call, for tests to assert: when it started, got its first token and ended, and how."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

Outcome = Literal["finished", "cancelled", "fault"]
"""finished: a whole good answer was written (or generated: an ensemble does not notice that its client left);
cancelled: the client closed before (also out of a fault's silence), or stopped it; fault: the fault, or the replica
itself, ended it."""


class Call:
    """One request to a replica. Times are `time.monotonic()` seconds (one clock for all processes of a machine)."""

    __slots__ = (
        "end",
        "fault",
        "first",
        "headers",
        "left",
        "model",
        "number",
        "outcome",
        "path",
        "prompt_tokens",
        "raw",
        "served",
        "start",
        "stream",
        "tokens",
    )

    def __init__(self, number: int, path: str, headers: list[tuple[bytes, bytes]], raw: bytes) -> None:
        self.number = number  # from 1, in order of arrival
        self.path = path
        self.headers = headers  # as received, in order
        self.raw = raw  # the request's body
        self.model = ""
        self.stream = False
        self.fault = ""
        self.prompt_tokens = 0
        self.tokens = 0  # produced so far, over all choices
        self.start = time.monotonic()  # the request was here
        self.served: float | None = None  # it got a slot
        self.first: float | None = None  # the first token was written
        self.left: float | None = None  # the client of a gRPC stream went away before the end
        self.end: float | None = None
        self.outcome: Outcome | None = None  # None while it goes on

    def __repr__(self) -> str:
        return f"<Call {self.number} {self.path} {self.tokens} tokens, {self.outcome or 'open'}>"

    @property
    def request_id(self) -> str | None:
        return self.header("x-request-id")

    @property
    def body(self) -> Any:
        """The request's body parsed from JSON; None if it is not JSON."""
        try:
            return msgspec.json.decode(self.raw)
        except msgspec.DecodeError:
            return None

    def header(self, name: str) -> str | None:
        """The first header of that name in lower case, None if it was not sent."""
        wanted = name.encode("latin-1")
        return next((value.decode("latin-1") for key, value in self.headers if key == wanted), None)

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON can say it; `body` parsed, `body_bytes` its length."""
        entry: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name not in {"headers", "raw"}}
        entry["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers]
        entry["request_id"] = self.request_id
        entry["body"] = self.body
        entry["body_bytes"] = len(self.raw)
        return entry


class Forgotten(Exception):
    """Some of the calls that are asked for are not kept any more: whoever counts must not take the rest for all."""


class CallLog:
    """The newest `bound` calls of a replica in order, and counts over all of them since the last reset."""

    def __init__(self, bound: int = 10_000) -> None:
        self._calls: deque[Call] = deque(maxlen=bound)
        self._number = 0
        self._forgotten = 0  # the number of the last call that had to make room for newer ones
        self._watchers: list[tuple[Callable[[Sequence[Call]], bool], asyncio.Future[None]]] = []
        self.counts = dict.fromkeys(("started", "finished", "cancelled", "fault", "tokens"), 0)

    def __repr__(self) -> str:
        return f"<CallLog {' '.join(f'{key}={value}' for key, value in self.counts.items())}>"

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, at: int) -> Call:
        return self._calls[at]

    def since(self, number: int) -> list[Call]:
        """The calls after number `number`. Raises `Forgotten` if some of them had to make room for newer ones."""
        if number < self._forgotten:
            raise Forgotten(f"the calls up to {self._forgotten} are forgotten: ask sooner")
        return [call for call in self._calls if call.number > number]

    def open(self, path: str, headers: list[tuple[bytes, bytes]], raw: bytes) -> Call:
        self._number += 1
        self.counts["started"] += 1
        call = Call(self._number, path, headers, raw)
        if len(self._calls) == self._calls.maxlen:
            self._forgotten = self._calls[0].number
        self._calls.append(call)
        if self._watchers:
            self._tell()
        return call

    def produced(self, call: Call, tokens: int) -> None:
        if call.first is None:
            call.first = time.monotonic()
        call.tokens += tokens
        self.counts["tokens"] += tokens
        if self._watchers:
            self._tell()

    def close(self, call: Call, outcome: Outcome) -> None:
        call.end = time.monotonic()
        call.outcome = outcome
        self.counts[outcome] += 1
        if self._watchers:
            self._tell()

    def reset(self) -> None:
        """Forget the calls and the counts; numbers go on."""
        self._calls.clear()
        self._forgotten = 0
        self.counts = dict.fromkeys(self.counts, 0)

    async def wait_for(self, predicate: Callable[[Sequence[Call]], bool], timeout: float = 5.0) -> list[Call]:  # noqa: ASYNC109 -- its bound is its point
        """The calls as soon as `predicate(calls)` holds; checked at each start, token and end. `TimeoutError` else."""
        if not predicate(list(self._calls)):
            watcher = (predicate, asyncio.get_running_loop().create_future())
            self._watchers.append(watcher)
            try:
                async with asyncio.timeout(timeout):
                    await watcher[1]
            finally:
                self._watchers.remove(watcher)
        return list(self._calls)

    def _tell(self) -> None:
        for predicate, future in self._watchers:
            if not future.done() and predicate(list(self._calls)):
                future.set_result(None)

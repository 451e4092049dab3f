"""The engine's thread: so many requests at a time, a token for each in every step."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .result import RequestOutput, Response
from .sampling import SamplingParams
from .script import orders

Note = Callable[..., None]


class Running:
    """A request: what it has made so far, and what is to go wrong."""

    def __init__(
        self, number: int, prompt: str, params: SamplingParams, result: RequestOutput, tokens: Iterator[int], *,
        streaming: bool,
    ) -> None:  # fmt: skip
        self.number = number
        self.result = result
        self.tokens = tokens
        self.streaming = streaming
        self.params = params
        self.orders = orders(prompt)
        self.made: list[int] = []
        self.told = 0

    def ordered(self, what: str) -> bool:
        """Whether it is time for that."""
        return what in self.orders and len(self.made) >= int(self.orders[what])


class Steps:
    """`broken` for good after an error of the GPU."""

    def __init__(self, delay: float, batch: int, iterations: deque[dict[str, Any]], note: Note) -> None:
        self._delay = delay
        self._batch = batch
        self._iterations = iterations
        self._note = note
        self._changed = threading.Condition()
        self._requests: dict[int, Running] = {}
        self._aborted: set[int] = set()
        self._over = False
        self.broken = False

    def __repr__(self) -> str:
        return f"<Steps {len(self._requests)} requests{', broken' * self.broken}>"

    def add(self, running: Running) -> None:
        with self._changed:
            self._requests[running.number] = running
            self._changed.notify()

    def abort(self, number: int) -> None:
        with self._changed:
            if number in self._requests:
                self._aborted.add(number)

    def end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()

    def run(self) -> None:
        while not self._over:
            with self._changed:
                if not self._requests:
                    self._changed.wait()
                    continue
                requests = list(self._requests.values())
            active = requests[: self._batch]
            for running in requests:
                if running.number in self._aborted:
                    self._finish(running, "cancelled")
                elif running in active:
                    self._step(running)
            self._tell(len(active), len(requests) - len(active))
            time.sleep(self._delay)

    def _step(self, running: Running) -> None:
        if running.ordered("crash"):
            os.kill(os.getpid(), signal.SIGKILL)
        if running.ordered("cuda"):
            self.broken = True
            self._fail(running, "CUDA error: an illegal memory access was encountered")
        elif running.ordered("fail"):
            self._fail(running, "Error in forward function: (13) assertion failed")
        elif not running.ordered("stall"):
            self._make(running)

    def _make(self, running: Running) -> None:
        token = next(running.tokens, None)
        if token is not None:
            running.made.append(token)
        if token is None or running.params.stopped(running.made):
            self._finish(running, "stop")
        elif len(running.made) >= running.params.max_tokens:
            self._finish(running, "length")
        elif running.streaming:
            running.result.deliver(Response(running.made[running.told :]))
            running.told = len(running.made)

    def _finish(self, running: Running, reason: str) -> None:
        self._remove(running, reason)
        running.result.deliver(Response(running.made[running.told :], finish=reason))

    def _fail(self, running: Running, words: str) -> None:
        self._remove(running, "error")
        running.result.deliver(Response([], error=words))

    def _remove(self, running: Running, reason: str) -> None:
        with self._changed:
            del self._requests[running.number]
            self._aborted.discard(running.number)
        self._note("end", id=running.number, reason=reason, tokens=len(running.made))

    def _tell(self, active: int, queued: int) -> None:
        blocks = {"maxNumBlocks": 100, "usedNumBlocks": active, "freeNumBlocks": 100 - active, "tokensPerBlock": 32}
        iteration = {"numActiveRequests": active, "numQueuedRequests": queued, "kvCacheStats": blocks}
        self._iterations.append(iteration)

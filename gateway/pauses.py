"""How long Python's garbage collector has kept everything waiting: one of the reasons for a late event loop."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping

from gateway.exposition import family, labels

GENERATIONS = 3


class Pauses:
    """Seconds per generation, from `watch` to `close`; how often is in prometheus-client's own series."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = 0.0
        self.seconds = [0.0] * GENERATIONS

    def __repr__(self) -> str:
        return f"<Pauses {sum(self.seconds):.3f} s so far>"

    def watch(self) -> None:
        """Listen to the interpreter's collector, which belongs to the whole process."""
        gc.callbacks.append(self.note)

    def close(self) -> None:
        gc.callbacks.remove(self.note)

    def note(self, phase: str, info: Mapping[str, int]) -> None:
        """For `gc.callbacks`; collections neither nest nor overlap."""
        if phase == "start":
            self._since = self._clock()
        else:
            self.seconds[info["generation"]] += self._clock() - self._since

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        yield from family(
            "counter", "snowshed_gc_pause_seconds_total", "Time in which the garbage collector let nothing else run.",
            [(labels(("generation",), (str(n),)), seconds) for n, seconds in enumerate(self.seconds)],
        )  # fmt: skip

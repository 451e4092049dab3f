"""Things in the order of a number each: the first one at once, any of them moved or taken out without a search."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class Heap(Generic[T]):
    """A binary heap that knows where each of its things (hashable) lies: `put` and `discard` are O(log n).

    Things of the same number stand in the order in which they were put.
    """

    __slots__ = ("_nodes", "_places", "_puts")

    def __init__(self) -> None:
        self._nodes: list[tuple[float, int, T]] = []
        self._places: dict[T, int] = {}
        self._puts = 0  # tells things of the same number apart, so that they themselves are never compared

    def __repr__(self) -> str:
        return f"<Heap of {len(self._nodes)}>"

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, thing: T) -> bool:
        return thing in self._places

    def __iter__(self) -> Iterator[T]:
        """In order and lazily: the k-th costs O(log k). Ends with the first change of the heap."""
        nodes = self._nodes
        fringe = [(nodes[0], 0)] if nodes else []
        while fringe:
            node, place = heappop(fringe)
            yield node[2]
            for below in range(2 * place + 1, min(2 * place + 3, len(nodes))):
                heappush(fringe, (nodes[below], below))

    @property
    def first(self) -> T:
        """The one with the lowest number. Raises IndexError if there is none."""
        return self._nodes[0][2]

    def put(self, thing: T, number: float) -> None:
        """In, or to another place if it is in: behind those of the same number."""
        self._puts += 1
        node = (number, self._puts, thing)
        place = self._places.get(thing)
        if place is None:
            place = len(self._nodes)
            self._nodes.append(node)
        self._sift(place, node)

    def discard(self, thing: T) -> bool:
        """Whether it was there; now it isn't."""
        place = self._places.pop(thing, None)
        if place is None:
            return False
        last = self._nodes.pop()
        if place < len(self._nodes):
            self._sift(place, last)
        return True

    def _sift(self, place: int, node: tuple[float, int, T]) -> None:
        """Put the node down where it belongs, above this place or below."""
        nodes, places = self._nodes, self._places
        while place and node < nodes[above := (place - 1) >> 1]:
            nodes[place] = nodes[above]
            places[nodes[place][2]] = place
            place = above
        while (below := 2 * place + 1) < len(nodes):
            if below + 1 < len(nodes) and nodes[below + 1] < nodes[below]:
                below += 1
            if node < nodes[below]:
                break
            nodes[place] = nodes[below]
            places[nodes[place][2]] = place
            place = below
        nodes[place] = node
        places[node[2]] = place

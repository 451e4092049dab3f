"""Shuts out at the door who could not be served in time, whatever he asks for: before a body is read for nothing."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Protocol

from router.admission import Admission
from router.api import Rank
from router.catalog import Asker, Catalog
from router.ticket import Refusal


class Weighed(Asker, Protocol):
    """Who asks, and what share of a queue is theirs."""

    @property
    def weight(self) -> int: ...


class Body(Protocol):
    """What is still to be read."""

    @property
    def most(self) -> int:
        """Bytes that it may have."""
        ...


class Gate:
    """Costs nothing while nobody waits anywhere; else it looks for one version whose queue the caller may join."""

    def __init__(self, catalog: Catalog, pressed: AbstractSet[Admission]) -> None:
        self._catalog = catalog
        self._pressed = pressed

    def __repr__(self) -> str:
        return f"<Gate, {len(self._pressed)} queues behind it>"

    def check(self, asker: Weighed, rank: Rank, body: Body) -> None:
        """Raises Shed. The longer the prompt may be, the longer it may wait."""
        pressed = self._pressed
        if not pressed:
            return
        least: tuple[Admission, Refusal] | None = None
        for model in self._catalog.seen_by(asker):
            for version in model.versions.values():
                admission = version.admission
                if admission not in pressed or not admission.pool.is_full():
                    return  # there may be room for it
                patience = admission.patience(rank, admission.costs.prompt(body.most))
                refusal = admission.refusal(rank, asker.tenant, asker.weight, patience)
                if refusal is None:
                    return
                if least is None or (refusal.wait or 0.0) < (least[1].wait or 0.0):
                    least = admission, refusal
        if least is not None:
            admission, refusal = least
            raise admission.shed(refusal, rank, asker.tenant, asker.weight)

"""The requests that ended last, for those who ask why one went where it went."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from gateway.accounts import Record

KEPT: Final = 2000
STRANGER: Final = "invalid_api_key"
"""The code of those whose key is none."""


class Recent:
    """Their records, the newest last; like those it never holds content."""

    def __init__(self, bound: int = KEPT) -> None:
        self._kept: deque[Record] = deque(maxlen=bound)

    def __repr__(self) -> str:
        return f"<Recent {len(self._kept)} of {self._kept.maxlen}>"

    def keep(self, records: Iterable[Record]) -> None:
        """All but those of strangers, who must not push others' out. Who looks one up pays."""
        self._kept.extend([record for record in records if record.code != STRANGER])

    def find(self, request_id: str) -> Record | None:
        """By the id that we gave it."""
        return next((record for record in reversed(self._kept) if record.id == request_id), None)

"""What becomes of a change in what is thought of a replica: it is kept and counted, and said once in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from router.events import Change, Events

_logger = logging.getLogger("snowshed")


def teller(events: Events) -> Callable[[Change], None]:
    """What pools tell their changes to."""

    def tell(change: Change) -> None:
        events.note(change)
        fields = {
            "replica": change.replica,
            "before": change.before,
            "after": change.after,
            "reason": change.reason,
        }
        if change.after in ("suspect", "ejected"):
            _logger.warning("replica state", extra=fields)
        else:
            _logger.info("replica state", extra=fields)

    return tell

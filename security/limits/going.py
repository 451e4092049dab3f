"""Whether what goes on beside requests is to go on."""

from __future__ import annotations

import asyncio


def goes_on() -> bool:
    """Until the task is cancelled, though the driver may have caught that: it does so as it finds a node lost."""
    task = asyncio.current_task()
    return task is not None and not task.cancelling()

"""What all request bodies together may take of memory."""

from __future__ import annotations


class BodyMemory:
    """Bytes of request bodies held at one time, over all requests; `Intake` adds its own and takes them off again."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.held = 0
        self.refused = 0
        """Requests for whose bodies there was no room."""

    def __repr__(self) -> str:
        return f"<BodyMemory {self.held} of {self.bound} B, {self.refused} refused>"

"""Lets everybody in: for a gateway that only its own machine can reach."""

from __future__ import annotations

from typing import Final

from security.api import SCOPES, Headers, Principal

ANYBODY: Final = Principal("", "", None, frozenset(SCOPES[:1]), 1, 0)
NEIGHBOUR: Final = Principal("", "", None, frozenset(SCOPES[:2]), 1, 0)
"""Who asks on the gateway's own machine: they may also say where their calls go."""


class OpenDoor:
    """An Authenticator that asks nobody."""

    trouble = ""
    able = True

    def __init__(self, everybody: Principal = ANYBODY) -> None:
        self._everybody = everybody

    def __repr__(self) -> str:
        return "<OpenDoor>"

    def recall(self, headers: Headers) -> Principal:
        return self._everybody

    async def learn(self, headers: Headers) -> Principal:
        return self._everybody

    async def start(self) -> None:
        """Nothing to start."""

    async def watch(self) -> None:
        """Nothing changes."""

    async def aclose(self) -> None:
        """Nothing is held."""


OPEN_DOOR: Final = OpenDoor()
"""For strangers."""

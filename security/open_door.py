"""Lets everybody in: for a gateway that only its own machine can reach."""

from __future__ import annotations

from typing import Final

from security.api import SCOPES, Headers, Principal

ANYBODY = Principal("", "", None, frozenset(SCOPES[:1]), 1, 0)


class OpenDoor:
    """An Authenticator that asks nobody."""

    trouble = ""
    able = True

    def __repr__(self) -> str:
        return "<OpenDoor>"

    def recall(self, headers: Headers) -> Principal:
        return ANYBODY

    async def learn(self, headers: Headers) -> Principal:
        return ANYBODY

    async def start(self) -> None:
        """Nothing to start."""

    async def watch(self) -> None:
        """Nothing changes."""

    async def aclose(self) -> None:
        """Nothing is held."""


OPEN_DOOR: Final = OpenDoor()
"""It has no state: one is enough."""

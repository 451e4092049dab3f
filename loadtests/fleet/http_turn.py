"""A turn whose wire is an HTTP connection, and whose request is OpenAI JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtests.fleet import scripts
from loadtests.fleet.answers import Plan
from loadtests.fleet.asks import Ask
from loadtests.fleet.calls import Call, Outcome
from loadtests.fleet.settings import Settings
from loadtests.fleet.turn import Script, Turn

if TYPE_CHECKING:
    from loadtests.fleet.connection import Connection
    from loadtests.fleet.replica import Replica


class HttpTurn(Turn):
    """The one request that a connection answers at a time."""

    __slots__ = ("ask", "connection", "plan")

    def __init__(self, connection: Connection, replica: Replica, call: Call, settings: Settings) -> None:
        super().__init__(replica, call, settings)
        self.connection = connection
        self.ask: Ask
        self.plan: Plan

    @property
    def congested(self) -> bool:
        return self.connection.congested

    def script(self) -> Script:
        return scripts.script(self)

    def write(self, data: bytes) -> None:
        self.connection.write(data)

    def ended(self, outcome: Outcome) -> None:
        self.connection.turn = None
        if outcome != "cancelled":
            self.connection.answered(self.settings)

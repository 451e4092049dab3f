"""For schemathesis, which imports it: a new key whenever the one before is good no more, and each answer's status."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import schemathesis

from loadtests.bench.stand import ask
from loadtests.prove.fuzzing import ANSWERS, MINT


@schemathesis.auth(refresh_interval=3600)
class FreshKey:
    """Asked for a key after each answer that the last one got a 401."""

    def get(self, case: Any, context: schemathesis.AuthContext) -> str:
        return ask(int(os.environ[MINT]), "GET", "/")[1].decode()

    def set(self, case: Any, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def after_call(context: Any, case: Any, response: schemathesis.Response) -> None:  # noqa: ARG001  # by their names
    with Path(os.environ[ANSWERS]).open("a") as file:
        file.write(f"{case.operation.label} {response.status_code}\n")

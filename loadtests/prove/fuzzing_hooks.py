"""For schemathesis, which imports it: a new key whenever the one before is good no more, and each answer's status."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unicodedata import category

import schemathesis

from loadtests.bench.stand import ask
from loadtests.prove.fuzzing import ANSWERS, MINT, REQUEST

MOST = 1_000_000
"""Largest weight that is taken."""
keys: list[str] = []


@schemathesis.auth(refresh_interval=None)
class LastKey:
    """The last one, for as long as it is good."""

    def get(self, case: Any, context: schemathesis.AuthContext) -> str:
        if not keys:
            keys.append(ask(int(os.environ[MINT]), "GET", "/")[1].decode())
        return f"Bearer {keys[-1]}"

    def set(self, case: Any, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = data


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:  # noqa: ARG001  # by their names
    """Without what is neither printable nor a control: patterns of Unicode's classes are not followed to the letter."""
    texts = body.values() if isinstance(body, dict) else ()
    return all(
        letter.isprintable() or category(letter) == "Cc" for text in texts if isinstance(text, str) for letter in text
    )


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:  # noqa: ARG001  # by their names
    """Every other request id is that of a request that there was: none would be found by chance.

    And none has a percent sign: what follows it may be taken for an escape on its way, and be something else here.
    """
    given = {
        name: value.replace("%", "-") if isinstance(value, str) else value
        for name, value in (path_parameters or {}).items()
    }
    return {**given, "request_id": os.environ[REQUEST]} if len(str(given.get("request_id", ""))) % 2 else given


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Every other set of good weights is for the version that there is: nothing says what its name may be."""
    if context.operation.label != "PUT /v1/models/{model}/weights" or not isinstance(body, dict) or len(body) % 2 == 0:
        return body
    good = [weight for weight in body.values() if type(weight) in (int, float) and 0 < weight <= MOST]
    return {"1": good[0]} if len(good) == len(body) else body


@schemathesis.hook
def after_call(context: Any, case: Any, response: schemathesis.Response) -> None:  # noqa: ARG001  # by their names
    with Path(os.environ[ANSWERS]).open("a") as file:
        file.write(f"{case.operation.label} {response.status_code}\n")
    sent = response.request.headers.get("Authorization")
    if response.status_code == 401 and sent in [f"Bearer {key}" for key in keys]:  # noqa: PLR2004
        keys.clear()  # what was asked at random has revoked it

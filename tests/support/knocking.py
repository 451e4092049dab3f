"""Asking a gateway that wants a key."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2

from security.keys import NewKey
from tests.support import plain
from tests.support.waiting import PATIENCE, wait_until

SOON = 15.0
"""Seconds within which a change holds in every process: five are promised, the rest is for a busy machine."""

QUESTION = {"model": "mock", "messages": [{"role": "user", "content": "hello"}]}


def headers(key: NewKey | str | bytes | None) -> dict[str, bytes]:
    if key is None:
        return {}
    text = key.text if isinstance(key, NewKey) else key
    return {"authorization": (b"Bearer " + (text if isinstance(text, bytes) else text.encode())).rstrip()}


def ask(url: str, key: NewKey | str | bytes | None, model: str = "mock") -> httpx2.Response:
    """One chat."""
    sent: Any = headers(key)
    body = {**QUESTION, "model": model}
    return plain.post(f"{url}/v1/chat/completions", json=body, headers=sent, timeout=PATIENCE)


def models(url: str, key: NewKey | str | None, name: str = "") -> httpx2.Response:
    sent: Any = headers(key)
    return plain.get(f"{url}/v1/models{name and '/'}{name}", headers=sent, timeout=PATIENCE)


def code(answer: httpx2.Response) -> tuple[int, str | None]:
    """Status and OpenAI's code; of a good answer 200 and None."""
    return answer.status_code, answer.json().get("error", {}).get("code")


def seconds_until(look: Callable[[], bool]) -> float:
    """How long it takes for something to be so."""
    start = time.monotonic()
    wait_until(look)
    return time.monotonic() - start

"""A gateway's admin listener, asked as one of those who run it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from security.keys import NewKey
from tests.support import plain
from tests.support.gateway import RunningGateway
from tests.support.waiting import PATIENCE, wait_until


def admin_port(gateway: RunningGateway) -> int:
    """Once it is open."""
    admin = gateway.objects.admin
    assert admin is not None
    found = wait_until(lambda: admin.port)
    assert found is not None
    return found


@contextmanager
def visiting(port: int, key: NewKey | None, **options: Any) -> Iterator[httpx2.Client]:
    """A client that shows this key."""
    headers = {"authorization": f"Bearer {key.text}"} if key else {}
    with plain.client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE, **options) as client:
        yield client

"""A gateway whose configuration's file a test writes, and callers who never stop asking meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import yaml

from gateway.config import load
from gateway.reloading import Reloaded, Source
from loadtests.prove.answers import Answer
from security.keys import NewKey
from tests.support.asking import ask, body
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import PATIENCE


class Reloadable:
    """A running gateway and its file."""

    def __init__(self, gateway: RunningGateway, file: Path) -> None:
        self.gateway = gateway
        self.file = file

    def reload(self, tree: dict[str, Any]) -> Reloaded:
        """Have the file say this, and read again."""
        replace(self.file, tree)
        return self.gateway.wait_for(self.gateway.objects.reloading.reload())

    @property
    def leaving(self) -> int:
        """Replicas that are gone from the configuration and not closed yet."""
        upstreams = self.gateway.objects.upstreams
        return len(upstreams._leaving)


def replace(file: Path, tree: dict[str, Any]) -> None:
    """As careful editors do: whoever reads sees the old content or the new one."""
    new = file.with_suffix(".new")
    new.write_text(yaml.safe_dump(tree))
    new.replace(file)


@contextmanager
def reloadable(tree: dict[str, Any], folder: Path) -> Iterator[Reloadable]:
    file = folder / "gateway.yaml"
    replace(file, tree)
    source = Source(file)
    settings = load(file).model_dump(mode="json", exclude_unset=True)
    with running_gateway(settings, source=source) as gateway:
        yield Reloadable(gateway, file)


class Crowd:
    """Callers in threads of their own, each asking again as soon as it has its answer; half of them for streams.

    `key`: one that all of them show.
    """

    def __init__(self, gateway: RunningGateway, size: int, key: NewKey | None = None, **members: Any) -> None:
        self.answers: list[Answer] = []
        self.broken: list[Exception] = []
        self._gateway = gateway
        self._headers = {"authorization": f"Bearer {key.text}"} if key else {}
        self._members = members
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(bool(n % 2),)) for n in range(size)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait_for(self, more: int) -> None:
        """Until so many more answers have come."""
        enough = len(self.answers) + more
        self._gateway.wait_until(lambda: len(self.answers) >= enough or bool(self.broken))

    def _ask(self, stream: bool) -> None:
        try:
            with self._gateway.client() as client:
                client.headers.update(self._headers)
                while not self._stopped.is_set():
                    self.answers.append(ask(client, body(stream=stream, **self._members)))
        except Exception as error:  # noqa: BLE001  # told by the test's own thread
            self.broken.append(error)

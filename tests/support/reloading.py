"""A configuration's file that is read again, what took it over, and what was said of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from gateway.config import Config
from gateway.quotas import Quotas
from gateway.reloading import Reloading, Source
from tests.support.gateway import metric

EVERY = 0.02


class Applied:
    """Takes configurations over, or not if it is told a failure."""

    def __init__(self, config: Config) -> None:
        self.file = config
        self.number = 1
        self.failure: Exception | None = None

    async def apply(self, file: Config) -> None:
        if self.failure is not None:
            raise self.failure
        self.file = file
        self.number += 1


class Stand:
    """A file, and what becomes of it; it begins with `sections`, beside a model."""

    def __init__(self, file: Path, sections: Mapping[str, Any] = MappingProxyType({}), /, **environment: str) -> None:
        self.file = file
        self.write(model(), **sections)
        self.source = Source(file, environment)
        self.applied = Applied(self.source.read())
        self.quotas = Quotas(self.applied.file.quotas.plans)
        self.reloading = Reloading(self.source, self.applied, self.quotas, every=EVERY)

    def write(self, *models: dict[str, Any], **sections: Any) -> None:
        self.file.write_text(yaml.safe_dump({"models": list(models), **sections}))

    @property
    def versions(self) -> list[str]:
        return [spec.label for spec in self.applied.file.models]

    @property
    def valid(self) -> float:
        return metric("".join(self.reloading.lines()), "snowshed_config_valid")

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reloading.watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


def model(name: str = "m", **settings: Any) -> dict[str, Any]:
    return {"name": name, "engine": "scripted", **settings}


class Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record)


@contextmanager
def listening() -> Iterator[list[logging.LogRecord]]:
    """What the gateway says of itself in this thread: those of whole runs, in threads of their own, speak as well."""
    handler, logger = Keeping(), logging.getLogger("snowshed")
    here = threading.get_ident()
    handler.addFilter(lambda record: record.thread == here)
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield handler.said
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)

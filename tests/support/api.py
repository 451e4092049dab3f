"""One simulated upstream behind a gateway that knows it under several names, and the records of what was asked."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai

from tests.support.fleet import LoggedCall, SpawnedReplica, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.written import written

NAMED = 'org/mo"ck\\1'
"""A public name with a slash, and with what JSON escapes; the upstream calls the model `UPSTREAM`."""
UPSTREAM = 'up/"stream" \\ näme'
CAPPED = "capped"
"""A model whose upstream takes `max_completion_tokens`, and 7 of them where the caller says nothing."""
ENVIRONMENT_KEY, FILE_KEY = "key-from-environment", "key-from-file"
VARIABLE = "SNOWSHED_TEST_KEY"


@dataclass(slots=True)
class Api:
    """A gateway to ask, the upstream behind it, and what both wrote down."""

    gateway: RunningGateway
    upstream: SpawnedReplica
    log: Path
    http: httpx2.Client
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def client(self, **options: Any) -> openai.OpenAI:
        """The official SDK, without retries of its own unless asked for."""
        defaults: dict[str, Any] = {"max_retries": 0, "http_client": self.http}
        return openai.OpenAI(base_url=f"{self.gateway.url}/v1", api_key="none", **defaults | options)

    def label(self) -> str:
        """A new label to send along as x-client-request-id."""
        return f"label-{next(self._numbers)}"

    def record(self, label: str) -> dict[str, Any]:
        """The one request record with this label, as soon as it is there."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [line for line in written(self.log) if line["client_request_id"] == label]
            return bool(found)

        self.gateway.wait_until(there)
        assert len(found) == 1, found
        return found[0]

    def asked(self, request_id: str) -> LoggedCall:
        """What the upstream was asked under our request id."""
        calls = self.upstream.wait_for(lambda calls: any(call.request_id == request_id for call in calls))
        return next(call for call in calls if call.request_id == request_id)


@contextmanager
def api(folder: Path, **sections: Any) -> Iterator[Api]:
    """For the length of a block; files lie in `folder`."""
    log, secret = folder / "records.jsonl", folder / "key"
    secret.write_text(f"{FILE_KEY}\n")
    os.environ[VARIABLE] = ENVIRONMENT_KEY
    fd = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        with spawn_fleet(settings="tokens=12") as fleet:
            url = fleet.urls[0]
            by_environment = {"url": url, "api_key": {"env": VARIABLE}}
            by_file = {"url": f"{url}/", "api_key": {"file": str(secret)}}
            models = [
                {"name": "mock", "engine": "openai", "replicas": [{"url": url}]},
                {"name": NAMED, "engine": "openai", "upstream": UPSTREAM, "replicas": [by_environment]},
                {"name": CAPPED, "engine": "openai", "max_tokens": 7, "cap_field": "max_completion_tokens",
                 "replicas": [by_file]},
            ]  # fmt: skip
            tree = configuration(models=models, **sections)
            with running_gateway(tree, log_fd=fd) as gateway, gateway.client() as http:
                yield Api(gateway, fleet.replicas[0], log, http)
    finally:
        os.close(fd)
        del os.environ[VARIABLE]

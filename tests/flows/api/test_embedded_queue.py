"""Callers of an embedded model beyond its slots wait in the gateway, and only those come to the model who have one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.support.embedded import NEVER_ENDS, QUESTION
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.micro_gguf import write_micro_gguf
from tests.support.written import written

CALLERS = 12


@contextmanager
def serving(folder: Path, **members: Any) -> Iterator[RunningGateway]:
    """A micro model with two slots; request records go to the file `log` in the folder."""
    options = {"model_path": str(write_micro_gguf(folder / "micro.gguf")), "slots": 2, "context": 65_536}
    model = {"name": "mock", "engine": "embedded", "replicas": [options], **members}
    fd = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        with running_gateway(configuration(models=[model]), log_fd=fd) as gateway:
            yield gateway
    finally:
        os.close(fd)


def ask(client: httpx2.Client, tokens: int) -> httpx2.Response:
    wanted = {"model": "mock", "messages": QUESTION, "max_tokens": tokens, **NEVER_ENDS}
    return client.post("/v1/chat/completions", json=wanted)


def test_all_of_a_small_crowd_are_answered_after_a_while(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway, gateway.client() as client, ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(lambda _: ask(client, 200), range(CALLERS)))
        assert [answer.status_code for answer in answers] == [200] * CALLERS
        gateway.wait_idle()
        [replica] = gateway.objects.upstreams.replicas
        assert (replica.calls, replica.failures.total()) == (CALLERS, 0)
        gateway.wait_until(lambda: len(written(tmp_path / "log")) == CALLERS)
    assert sum(line["queue_ms"] > 0 for line in written(tmp_path / "log")) >= CALLERS // 2


def test_who_would_wait_for_too_long_is_refused_and_told_when_to_come_back(tmp_path: Path) -> None:
    soon = {"start_within": {"standard": "50ms"}}
    with serving(tmp_path, **soon) as gateway, gateway.client() as client, ThreadPoolExecutor(2) as callers:
        [replica] = gateway.objects.upstreams.replicas
        running = [callers.submit(ask, client, 4000) for _ in range(2)]
        gateway.wait_until(lambda: replica.in_flight == 2)
        refused = ask(client, 8)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert [one.result().status_code for one in running] == [200, 200]
        assert replica.calls == 2

"""A model with few places behind a gateway: who has one, who waits for one, and who comes in which order."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from gateway.reloading import Source
from loadtests.prove.answers import Answer
from router.admission import Admission
from router.api import Replica
from security.keys import NewKey
from tests.support.asking import ask, request_bytes
from tests.support.databases import sqlite
from tests.support.fleet import LoggedCall, SpawnedFleet, SpawnedReplica
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.raw import RawClient
from tests.support.reloaded import Reloadable, replace
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until
from tests.support.written import written

LONG = "service_ms=60000,ttft_ms=60000"
"""For the simulated upstream: what holds a place until its client leaves."""
HOLDER = "holder"
AGES = "1m"
SLOTS = 2
"""Of each upstream: it serves so many at a time and lets others wait, as such servers do."""
CALLERS = 64
_numbers = itertools.count()


@dataclass(slots=True)
class Heard:
    """An answer, and how many seconds it took, by the client's own clock."""

    answer: Answer
    seconds: float

    @property
    def told(self) -> tuple[int, str]:
        """Status, and the code of an error: "" if there is none."""
        error = self.answer.error
        return self.answer.status, error["code"] if error else ""


def named(name: str, directive: str = "tokens=2", **members: Any) -> dict[str, Any]:
    """A chat request that is told from others by its first word, wherever it comes. No two are the same prompt."""
    content = f"{name} @@{directive}@@ {next(_numbers)}"
    return {"model": "mock", "messages": [{"role": "user", "content": content}]} | members


def names(calls: Sequence[LoggedCall]) -> list[str]:
    """Whose they are, in the order in which they came to the upstream."""
    return [call.body["messages"][0]["content"].partition(" ")[0] for call in calls]


@dataclass(slots=True)
class Queueing:
    """`fleet` is what the gateway's only model runs on; `log` holds the request records."""

    fleet: SpawnedFleet
    stand: Reloadable
    tree: dict[str, Any]
    http: httpx2.Client
    log: Path
    threads: ThreadPoolExecutor
    keys: Mapping[str, NewKey] = field(default_factory=dict)

    @property
    def gateway(self) -> RunningGateway:
        return self.stand.gateway

    @property
    def upstream(self) -> SpawnedReplica:
        """The first of them."""
        return self.fleet.replicas[0]

    def admission(self, model: str = "mock") -> Admission:
        """Of the model's only version."""
        (version,) = self.gateway.objects.catalog.snapshot.models[model].versions.values()
        return version.admission

    @property
    def replicas(self) -> tuple[Replica, ...]:
        return self.admission().pool.replicas

    @property
    def in_flight(self) -> int:
        """Requests that have a place."""
        return sum(replica.in_flight for replica in self.replicas)

    def headers(self, who: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        shown = {"authorization": f"Bearer {self.keys[who].text}"} if who else {}
        return {**shown, **(extra or {})}

    def ask(self, wanted: Mapping[str, Any], who: str = "", **extra: str) -> Heard:
        """`extra` are headers, with underscores for dashes."""
        lines = {name.replace("_", "-"): value for name, value in extra.items()}
        began = time.monotonic()
        answer = ask(self.http, wanted, self.headers(who, lines))
        return Heard(answer, time.monotonic() - began)

    def asking(self, wanted: Mapping[str, Any], who: str = "", **extra: str) -> Future[Heard]:
        """The same in a thread of its own."""
        return self.threads.submit(self.ask, wanted, who, **extra)

    def lining_up(self, wanted: Mapping[str, Any], who: str = "", **extra: str) -> Future[Heard]:
        """The same once it waits for a place."""
        before = self.waiting()
        asking = self.asking(wanted, who, **extra)
        self.gateway.wait_until(lambda: self.waiting() > before or asking.done())
        assert not asking.done(), asking.result()
        return asking

    @contextmanager
    def holding(self, number: int = 1, who: str = "", **members: Any) -> Iterator[list[RawClient]]:
        """So many places are taken, each by a client who leaves when it is closed."""
        with ExitStack() as stack:
            clients = []
            for taken in range(self.in_flight + 1, self.in_flight + number + 1):
                client = stack.enter_context(RawClient(self.gateway.url))
                client.socket.sendall(request_bytes(named(HOLDER, LONG, **members), self.headers(who)))
                wait_until(lambda: self.in_flight, taken.__eq__)
                clients.append(client)
            yield clients

    def waiting(self, model: str = "mock") -> int:
        """Requests in its queue."""
        return len(self.admission(model).queue)

    def wait_for_queue(self, number: int, model: str = "mock") -> None:
        self.gateway.wait_until(lambda: self.waiting(model) == number)

    def wait_until_it_can_tell(self) -> None:
        """How long somebody would have to wait: it has learned from a request that has ended."""
        self.gateway.wait_until(lambda: self.admission().wait(1, "", 1) is not None)

    def asked(self) -> list[LoggedCall]:
        """What came to the upstreams, but for who only held a place, in order."""
        calls = sorted((call for replica in self.fleet.replicas for call in replica.calls()), key=lambda one: one.start)
        return [call for call in calls if names([call]) != [HOLDER]]

    def wait_for_asked(self, number: int) -> list[LoggedCall]:
        """So many have come and ended."""
        return wait_until(self.asked, lambda calls: len(calls) == number and all(call.end for call in calls))

    def records(self) -> list[dict[str, Any]]:
        return written(self.log)

    def record(self, label: str) -> dict[str, Any]:
        """The one with this x-client-request-id, as soon as it is there."""
        found: list[dict[str, Any]] = wait_until(
            lambda: [line for line in self.records() if line["client_request_id"] == label]
        )
        (record,) = found
        return record


def served(urls: Sequence[str], requests: int | None = 1, name: str = "mock", **settings: Any) -> dict[str, Any]:
    """An entry of the configuration's models, with `requests` at a time on each replica."""
    limits = {} if requests is None else {"requests": requests}
    return {
        "name": name,
        "engine": "openai",
        "upstream": "mock",
        "replicas": [{"url": url} for url in urls],
        **settings,
        "limits": {**limits, **settings.get("limits", {})},
    }


def patient(seconds: str = AGES) -> dict[str, str]:
    """For `start_within`."""
    return dict.fromkeys(("critical", "standard", "batch"), seconds)


@contextmanager
def queueing(
    fleet: SpawnedFleet,
    folder: Path,
    *models: dict[str, Any],
    tenants: Mapping[str, Mapping[str, Any]] | None = None,
    **sections: Any,
) -> Iterator[Queueing]:
    """For the length of a block, after which nothing may be held; by itself with one place per upstream.

    Unless `admission` says otherwise, requests may wait for a minute, and one tenant may have the whole queue. There is
    a key for each of `tenants`, on its terms; without any the gateway asks for none.
    """
    for replica in fleet.replicas:
        replica.reset()
        replica.set(slots=SLOTS)
    keys, auth = _keys(tenants, folder) if tenants else ({}, {})
    queue = {"tenant_share": 1, "start_within": patient(), **sections.pop("admission", {})}
    entries = list(models or [served(fleet.urls)])
    tree = configuration(models=entries, admission=queue, **auth, **sections)
    file, log = folder / "gateway.yaml", folder / "records.jsonl"
    replace(file, tree)
    fd = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        with (
            running_gateway(tree, log_fd=fd, source=Source(file)) as gateway,
            ThreadPoolExecutor(CALLERS) as threads,
            gateway.client() as http,
        ):
            place = Queueing(fleet, Reloadable(gateway, file), tree, http, log, threads, keys)
            _wait_ready(place)
            yield place
            gateway.wait_idle()
            _wait_empty(place)
    finally:
        os.close(fd)


def _keys(tenants: Mapping[str, Mapping[str, Any]], folder: Path) -> tuple[dict[str, NewKey], dict[str, Any]]:
    book = KeyBook(sqlite(folder))
    keys = {}
    for name, terms in tenants.items():
        book.tenant(name, **terms)
        keys[name] = book.key(name)
    return keys, {"auth": {"kind": "keys", "sqlite": book.url.removeprefix("sqlite:///")}, "admin": {"port": 0}}


def _wait_ready(place: Queueing) -> None:
    replicas = place.gateway.objects.upstreams.replicas
    place.gateway.wait_until(lambda: not any(replica.verdict for replica in replicas))


def _wait_empty(place: Queueing) -> None:
    """Nobody waits in any queue, nothing is kept free, and no upstream is busy with anything."""
    pools = place.gateway.objects.upstreams._pools
    place.gateway.wait_until(
        lambda: not any(len(each.queue) or each.pool.reserved or each.pool.freed for each in pools.every)
    )
    place.gateway.wait_until(lambda: not any(replica.stats()["running"] for replica in place.fleet.replicas))

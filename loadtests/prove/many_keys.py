"""Keys that are known cost little memory, and no series."""

from __future__ import annotations

import http.client
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import msgspec

from loadtests.bench import bodies
from loadtests.bench.processes import Server, free_ports, listening, wait_until
from loadtests.bench.stand import Front, ask, stand
from loadtests.prove.admin import admitting
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.keys import keyed, snowshed

KEYS = 10_000
PATIENCE = 10.0
"""Seconds until metrics show what has ended; they are folded ten times a second."""


def calling(port: int) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30))


def post(connection: http.client.HTTPConnection, path: str, body: bytes, key: str) -> bytes:
    """A good answer. Raises RuntimeError for any other."""
    connection.request("POST", path, body, {"content-type": "application/json", "authorization": f"Bearer {key}"})
    response = connection.getresponse()
    answer = response.read()
    if response.status not in (http.client.OK, http.client.CREATED):
        raise RuntimeError(f"{path}: {response.status} {answer.decode()}")
    return answer


def minted(front: Front, port: int, tenant: str, count: int) -> list[str]:
    """So many keys of a tenant, made through the admin listener on `port`."""
    ruler = snowshed("keys", "create", tenant, "--scope", "admin", config=front.config)
    wanted = msgspec.json.encode({"tenant": tenant})
    with front.gateway(), calling(port) as admin:
        wait_until(lambda: listening(port), 20, "the admin listener's opening")
        made = [post(admin, "/v1/keys", wanted, ruler) for _ in range(count)]
    return [msgspec.json.decode(one)["key"] for one in made]


class Growth:
    """A running gateway's memory and series, after so many requests."""

    def __init__(self, front: Front, gateway: Server) -> None:
        self._front = front
        self._gateway = gateway
        self._asked = 0

    def after(self, keys: Sequence[str]) -> tuple[float, int]:
        """RSS in MB and the number of series, once there was a request with each of them."""
        with calling(self._front.ports.public) as connection:
            for key in keys:
                post(connection, bodies.PATH, bodies.chat(), key)
        self._asked += len(keys)
        wait_until(lambda: self._counted() == self._asked, PATIENCE, "the last request's count", step=0.1)
        return self._gateway.rss() / 1e6, len(re.findall(rb"^[a-z]", self._metrics(), re.MULTILINE))

    def _counted(self) -> float:
        return sum(map(float, re.findall(rb"^snowshed_requests_total\S* (\S+)$", self._metrics(), re.MULTILINE)))

    def _metrics(self) -> bytes:
        return ask(self._front.ports.ops, "GET", "/metrics")[1]


def prove() -> Verdict:
    """10,000 keys that are in use take at most 10 MB of memory, and add no series to the metrics."""
    (port,) = free_ports(1)
    with stand() as place:
        asking, key = keyed(place)
        front = replace(asking, config=admitting(asking.config, port))
        keys = minted(front, port, "acme", KEYS)
        with front.gateway() as (gateway, _):
            growth = Growth(front, gateway)
            rss, series = growth.after([key] * KEYS)
            rss_with, series_with = growth.after(keys)
    bars = [
        Bar("RSS that 10,000 keys add, MB", rss_with - rss, 10.0),
        Bar("series that they add", series_with - series, 0, exact=True),
    ]
    return Verdict(bars, {"rss_mb": [rss, rss_with], "series": [series, series_with]})

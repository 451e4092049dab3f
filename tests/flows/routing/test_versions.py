"""P35: which callers get a new version, that they stay with it, and who may say otherwise."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import plain
from tests.support.balancer import paired_gateways
from tests.support.gateway import RunningGateway, configuration, metric, running_gateway, spawned_gateway
from tests.support.waiting import PATIENCE, wait_until

CALLERS = [f"caller-{number}" for number in range(10_000)]
FEW = CALLERS[:200]


def versions(canary: float, **routing: Any) -> dict[str, Any]:
    """A model of two versions that are told apart by their answers, and sticky by `user`."""
    models = [
        {"name": "chat", "version": name, "weight": weight, "engine": "scripted", "replicas": [{"text": f"by {name}"}]}
        for name, weight in (("old", 100 - canary), ("new", canary))
    ]
    return configuration(models=models, routing=[{"model": "chat", "sticky": "user", **routing}])


def asked(url: str, callers: Sequence[str]) -> dict[str, str]:
    """What answered each caller, by the header; the answer's own words must be of the same version."""
    host, port = url.removeprefix("http://").split(":")
    found = {}
    with closing(socket.create_connection((host, int(port)), timeout=PATIENCE)) as wire, wire.makefile("rb") as answers:
        for caller in callers:
            body = json.dumps({"model": "chat", "user": caller, "messages": [{"role": "user", "content": "Hi"}]})
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            wire.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
            status, *lines = iter(lambda: answers.readline().decode().rstrip("\r\n"), "")
            headers = dict(line.split(": ", 1) for line in lines)
            document = json.loads(answers.read(int(headers["content-length"])))
            assert status.startswith("HTTP/1.1 200"), document
            version = headers["x-model-version"].removeprefix("chat@")
            assert document["choices"][0]["message"]["content"] == f"by {version}"
            found[caller] = version
    return found


@pytest.fixture(scope="module")
def at_five() -> Iterator[dict[str, str]]:
    """Who gets what while the new version has 5 %."""
    with running_gateway(versions(5)) as gateway:
        yield asked(gateway.url, CALLERS)


def test_p35_the_share_is_as_configured(at_five: dict[str, str]) -> None:
    share = 100 * sum(version == "new" for version in at_five.values()) / len(CALLERS)
    assert share == pytest.approx(5, abs=0.7)


def test_p35_the_same_version_over_a_hundred_calls_a_restart_and_two_processes(
    at_five: dict[str, str], tmp_path: Path
) -> None:
    expected = {caller: at_five[caller] for caller in FEW}
    with paired_gateways(versions(5), tmp_path) as pair:
        for gateway in pair.gateways:
            assert asked(gateway.url, FEW) == expected
        few = [*FEW[:3], next(caller for caller, version in at_five.items() if version == "new")]
        for caller in few:
            assert {asked(pair.gateways[0].url, [caller])[caller] for _ in range(100)} == {at_five[caller]}
    folder = tmp_path / "again"
    folder.mkdir()
    with spawned_gateway(versions(5), folder) as gateway:
        assert asked(gateway.url, FEW) == expected


def test_p35_widening_moves_only_new_callers(at_five: dict[str, str]) -> None:
    with running_gateway(versions(20)) as gateway:
        at_twenty = asked(gateway.url, CALLERS)
    assert {at_twenty[caller] for caller, version in at_five.items() if version == "new"} == {"new"}
    share = 100 * sum(version == "new" for version in at_twenty.values()) / len(CALLERS)
    assert share == pytest.approx(20, abs=1.5)


def test_p35_usage_is_told_by_version() -> None:
    with running_gateway(versions(50)) as gateway:
        found = asked(gateway.url, FEW)

        def counted(version: str) -> float:
            page = plain.get(f"{gateway.ops_url}/metrics").text
            return metric(page, "snowshed_requests_total", model="chat", version=f"chat@{version}")

        wanted = [sum(each == version for each in found.values()) for version in ("old", "new")]
        wait_until(lambda: [counted("old"), counted("new")], lambda counts: counts == wanted)


class TestWhoMayChoose:
    """On the gateway's own machine everybody may; where strangers are let in, nobody."""

    rules = ({"version": "new", "header": {"name": "x-ring", "value": "early"}},)

    def ask(self, gateway: RunningGateway, model: str = "chat", **headers: str) -> httpx2.Response:
        wanted = {"model": model, "user": "somebody", "messages": [{"role": "user", "content": "Hi"}]}
        with gateway.client() as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return client.post("/v1/chat/completions", json=wanted, headers=named)

    def test_a_pin_and_a_rule_on_a_header_count_from_who_may(self) -> None:
        with running_gateway(versions(0, rules=self.rules)) as gateway:
            assert self.ask(gateway).headers["x-model-version"] == "chat@old"
            assert self.ask(gateway, x_ring="early").headers["x-model-version"] == "chat@new"
            assert self.ask(gateway, x_ring="late").headers["x-model-version"] == "chat@old"
            pinned = self.ask(gateway, "chat@new")
            assert (pinned.headers["x-model-version"], pinned.json()["model"]) == ("chat@new", "chat")
            unknown = self.ask(gateway, "chat@newer")
            assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")

    def test_from_strangers_they_are_refused_or_ignored_and_counted(self) -> None:
        with running_gateway(versions(0, rules=self.rules) | {"server": {"port": 0, "open": True}}) as gateway:
            assert self.ask(gateway, x_ring="early").headers["x-model-version"] == "chat@old"
            refused = self.ask(gateway, "chat@new")
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_permissions")
            assert self.ask(gateway, x_session_id="one").status_code == 200
            page = plain.get(f"{gateway.ops_url}/metrics").text
            assert metric(page, "snowshed_headers_ignored_total", header="x-session-id") == 1
            assert metric(page, "snowshed_headers_ignored_total", header="x-ring") == 1

"""What is thought of a replica changes under calls over sockets: a line of the log and a count for each, no more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from router.breaker import STREAK
from tests.support import plain
from tests.support.asking import ask, body
from tests.support.gateway import SpawnedGateway, configuration, metric, spawned_gateway
from tests.support.waiting import PATIENCE, wait_until
from tests.support.written import written

CUTTING = "mock-0"


def said(gateway: SpawnedGateway) -> Sequence[dict[str, Any]]:
    """The lines so far."""
    return [line for line in written(gateway.errors) if line["event"] == "replica state"]


def counted(gateway: SpawnedGateway, **labels: str) -> float:
    shown = plain.get(f"{gateway.ops_url}/metrics").text
    return metric(shown, "snowshed_replica_changes_total", model="mock", **labels)


def test_each_change_is_one_line_and_one_count(tmp_path: Path) -> None:
    replicas = [{"failure": "interrupted"}, {}]
    model = {"name": "mock", "engine": "scripted", "policy": "round_robin", "replicas": replicas}
    with spawned_gateway(configuration(models=[model]), tmp_path, options=("--log-format", "json")) as gateway:
        assert counted(gateway) == 0
        wholes: list[bool] = []
        with plain.client(base_url=gateway.url, timeout=PATIENCE) as http:

            def changed() -> Sequence[dict[str, Any]]:
                """It fails less and less of them, as it gets less and less."""
                wholes.append(ask(http, body(stream=True)).done)
                return said(gateway)

            lines = wait_until(changed)
        assert wholes.count(False) == STREAK
        wait_until(lambda: counted(gateway), lambda count: count == len(said(gateway)))
        assert counted(gateway, replica=CUTTING, to="ejected") >= 1
        told = {name: lines[0][name] for name in ("level", "replica", "before", "after", "reason")}
        assert told == {
            "level": "warning", "replica": CUTTING, "before": "closed", "after": "ejected",
            "reason": f"{STREAK} failures in a row",
        }  # fmt: skip

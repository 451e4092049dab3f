"""What a running gateway shows of itself: models, replicas and configuration, as they are at the moment."""

from __future__ import annotations

from typing import Any

from gateway.config import check
from loadtests.bench.processes import free_ports
from tests.flows.admin.conftest import Administration, administration
from tests.support.knocking import ask
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until

ALONE = {"set_by": "file", "version": "1", "weight": 1.0, "weight_from": "file", "drained": False}


def test_models_and_the_replicas_behind_them_as_they_are(book: KeyBook) -> None:
    """One replica of two can't be reached: it is not ready, says why, and fails what it is asked."""
    (dead,) = free_ports(1)
    far = {
        "name": "far",
        "engine": "openai",
        "upstream": "org/far",
        "replicas": [{"url": f"http://127.0.0.1:{dead}/v1"}],
    }
    with administration(book, models=[{"name": "near", "engine": "scripted"}, far]) as admin:
        client = admin.client("viewer")

        def replicas() -> dict[str, dict[str, Any]]:
            return {one["name"]: one for one in client.get("/v1/replicas").json()["data"]}

        wait_until(replicas, lambda them: them["near-0"]["ready"] and "probed" not in them["far-0"]["reason"])
        assert client.get("/v1/models").json()["data"] == [
            {"name": "near", "upstream": "near", "engine": "scripted", "replicas": ["near-0"], **ALONE},
            {"name": "far", "upstream": "org/far", "engine": "openai", "replicas": ["far-0"], **ALONE},
        ]
        assert ask(admin.gateway.url, admin.keys["inference"], "near").status_code == 200
        assert ask(admin.gateway.url, admin.keys["inference"], "far").status_code == 502
        near, far_seen = replicas()["near-0"], replicas()["far-0"]
        assert (near["models"], near["reason"], near["calls"], near["in_flight"]) == (["near"], "", 1, 0)
        assert not any(near["failures"].values())
        assert (far_seen["ready"], bool(far_seen["reason"]), far_seen["calls"]) == (False, True, 1)
        assert {reason: count for reason, count in far_seen["failures"].items() if count} == {"unreachable": 1}


def test_the_configuration_shown_is_the_one_that_runs(admin: Administration) -> None:
    shown = admin.client("viewer").get("/v1/config").json()
    assert check(shown, "shown") == admin.gateway.objects.config

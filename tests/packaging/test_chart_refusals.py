"""The chart refuses a mistake in its values by name, before anything is changed in a cluster."""

from __future__ import annotations

from typing import Any

import helm_python
import pytest

from tests.support.chart import changed, rendered, sample


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "config"),
        ({"config": {"server": {"open": True}}}, "models"),
        ({"config": {"models": []}}, "models"),
        (changed(replica=3), "replica"),
        (changed(drain={"delay": 5, "cap": "2m"}), "cap"),
        (changed(drain={"delay": -1, "cap": 1}), "delay"),
        (changed(image={"repository": "snowshed", "digest": "latest"}), "digest"),
        (changed(config={"server": {"port": 9000}, "models": [{"name": "a", "engine": "scripted"}]}), "port"),
        (changed(config={"models": [{"name": "a", "engine": "scripted"}]}), "server.open"),
        (changed(networkPolicy={"enabled": True, "clients": [{"namespace": {}}]}), "networkPolicy"),
        (changed(config={"auth": {"kind": "keys"}, "models": [{"name": "a", "engine": "scripted"}]}), "auth.database"),
        ({"config": sample("triton")["config"]}, "secret.name"),
        ({"config": {**sample("triton")["config"], "auth": {"kind": "keys", "database": "postgresql:"}}}, "database"),
        (changed(podLabels={"app.kubernetes.io/name": "x"}), "podLabels: app.kubernetes.io/name"),
        (changed(podLabels={"app.kubernetes.io/instance": "x"}), "podLabels: app.kubernetes.io/instance"),
        (changed(podLabels={"helm.sh/chart": "x"}), "podLabels: helm.sh/chart"),
    ],
    ids=[
        "nothing", "no models", "empty", "unknown", "unit", "negative", "digest", "port", "closed", "no peer",
        "no database", "no secret", "no reference", "selector", "release", "chart",
    ],
)  # fmt: skip
def test_a_mistake_is_refused_by_its_name(values: dict[str, Any], told: str) -> None:
    with pytest.raises(helm_python.HelmError, match=told):
        rendered(values)

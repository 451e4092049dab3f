"""The Helm chart: rendered without a cluster, and the parts of what comes out."""

from __future__ import annotations

from typing import Any

import helm_python
import yaml

from tests.architecture.tree import ROOT

CHART = ROOT / "helm" / "snowshed"
SAMPLES = ("openai", "triton")

Manifest = dict[str, Any]


def sample(name: str) -> dict[str, Any]:
    return helm_python.values_from_yaml((CHART / "ci" / f"{name}-values.yaml").read_text())


def rendered(values: dict[str, Any], release: str = "demo") -> dict[str, Manifest]:
    """Manifests by kind: there is at most one of each."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(values, name=release, namespace="serving")
    manifests = [yaml.safe_load(text) for path, text in files.items() if path.endswith(".yaml") and text.strip()]
    assert len({manifest["kind"] for manifest in manifests}) == len(manifests)
    return {manifest["kind"]: manifest for manifest in manifests}


def pod(manifests: dict[str, Manifest]) -> Manifest:
    spec: Manifest = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


def labels(manifests: dict[str, Manifest]) -> dict[str, str]:
    found: dict[str, str] = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    return found


def changed(**changes: Any) -> dict[str, Any]:
    """The first sample with some sections replaced."""
    return {**sample(SAMPLES[0]), **changes}

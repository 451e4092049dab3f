"""The chart renders what a cluster takes and the gateway understands, under restricted rights."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate  # type: ignore[import-untyped]  # it ships none
import pytest
import yaml

from gateway.cli.program import COMMANDS
from gateway.config import Config, check_exposure, load
from gateway.version import VERSION
from tests.architecture.tree import ROOT
from tests.support.chart import CHART, SAMPLES, Manifest, changed, labels, pod, rendered, sample

KUBERNETES = ("1.27", kubernetes_validate.latest_version())
OPTIONAL = {"Job", "NetworkPolicy"}
FOREIGN = {"PodMonitor"}
"""The Prometheus Operator's, of which Kubernetes knows nothing."""
PROBES = ("livenessProbe", "readinessProbe")
WARNING = 2
"""Helm's severities: 1 is a recommendation, 2 a warning, 3 an error."""


def configured(manifests: dict[str, Manifest], folder: Path) -> Config:
    """What the gateway reads from the ConfigMap; it raises ConfigError if it would not start with it."""
    file = folder / "snowshed.yaml"
    file.write_text(manifests["ConfigMap"]["data"]["snowshed.yaml"])
    config = load(file)
    check_exposure(config)
    return config


@pytest.fixture(params=SAMPLES)
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    return sample(request.param)


@pytest.fixture
def manifests(values: dict[str, Any]) -> dict[str, Manifest]:
    return rendered(values)


def test_helm_finds_nothing_to_warn_of(values: dict[str, Any]) -> None:
    found = helm_python.lint(CHART, values, strict=True)
    assert found["errors"] == []
    assert not [message for message in found["messages"] if message["severity"] >= WARNING]


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_manifest_is_what_kubernetes_takes(manifests: dict[str, Manifest], version: str) -> None:
    assert manifests.keys() - OPTIONAL - FOREIGN == {"ConfigMap", "Deployment", "PodDisruptionBudget", "Service"}
    for kind in manifests.keys() - FOREIGN:
        kubernetes_validate.validate(manifests[kind], version, strict=True)


def test_a_mistyped_field_would_be_noticed(manifests: dict[str, Manifest]) -> None:
    manifests["Deployment"]["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifests["Deployment"], KUBERNETES[-1], strict=True)


def test_the_gateway_starts_with_what_it_is_given_where_the_probes_look_for_it(
    manifests: dict[str, Manifest], tmp_path: Path
) -> None:
    config = configured(manifests, tmp_path)
    (container,) = pod(manifests)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": config.server.port, "ops": config.ops.port}
    assert config.server.host == config.ops.host, "probes of a pod that has IPv6 only come over IPv6"
    assert config.ops.host in {"0.0.0.0", "::"}
    probes = {container[kind]["httpGet"]["path"]: container[kind]["httpGet"]["port"] for kind in PROBES}
    assert probes == {"/livez": "ops", "/readyz": "ops"}
    assert manifests["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    assert manifests["Service"]["spec"]["selector"].items() <= labels(manifests).items()


def test_p11_a_pod_is_given_the_time_that_its_drain_takes(manifests: dict[str, Manifest], tmp_path: Path) -> None:
    """P11: a grace that is shorter than the streams would sever them."""
    server = configured(manifests, tmp_path).server
    assert pod(manifests)["terminationGracePeriodSeconds"] == server.drain_delay + server.drain_cap + 10


def test_pods_have_no_rights(manifests: dict[str, Manifest]) -> None:
    """What the Pod Security Standard `restricted` asks for, and a root filesystem that is not written to."""
    for manifest in manifests.values():
        if "template" in manifest.get("spec", {}):
            has_no_rights(manifest["spec"]["template"]["spec"])


def has_no_rights(spec: Manifest) -> None:
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "else a Service called snowshed would set SNOWSHED_PORT"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
    kinds = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim"}


def test_user_and_folders_are_those_of_the_image(manifests: dict[str, Manifest]) -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    spec = pod(manifests)
    assert f"USER {spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}\n" in recipe
    places = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert {"/etc/snowshed", "/var/cache/snowshed"} <= places
    assert 'CMD ["serve", "--config", "/etc/snowshed/snowshed.yaml"]' in recipe


def test_secrets_come_by_reference_or_not_at_all() -> None:
    assert pod(rendered(sample("openai")))["containers"][0]["envFrom"] == [{"secretRef": {"name": "vllm-key"}}]
    assert "envFrom" not in pod(rendered(changed(secret={"name": ""})))["containers"][0]


def test_where_callers_need_keys_the_database_is_brought_up_to_date_first() -> None:
    """By the command and the variables that the gateway knows; and only there."""
    assert "Job" not in rendered(sample("openai"))
    values = sample("triton")
    job = rendered(values)["Job"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] in COMMANDS
    auth = load(None, {each["name"]: each["value"] for each in container["env"]}).auth
    assert auth == Config.model_validate(values["config"]).auth
    assert container["envFrom"] == [{"secretRef": {"name": "snowshed"}}], "which has the URL"


def test_pods_are_scraped_by_annotation_or_by_the_operator_and_never_by_both() -> None:
    plain, operated = rendered(sample("openai")), rendered(sample("triton"))
    annotations = plain["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "8081"
    assert "PodMonitor" not in plain
    assert "prometheus.io/scrape" not in operated["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    monitor = operated["PodMonitor"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels(operated).items()
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in pod(operated)["containers"][0]["ports"]}


def test_who_may_reach_the_pods_may_be_said() -> None:
    assert "NetworkPolicy" not in rendered(sample("openai"))
    spec = rendered(sample("triton"))["NetworkPolicy"]["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= labels(rendered(sample("triton"))).items()
    http, ops = spec["ingress"]
    assert (http["ports"], [*http["from"][1]]) == ([{"port": "http"}], ["ipBlock"])
    assert (ops["ports"], [*ops["from"][0]]) == ([{"port": "ops"}], ["namespaceSelector"])
    spec = rendered(changed(networkPolicy={"enabled": True}))["NetworkPolicy"]["spec"]
    assert spec["ingress"] == [{"ports": [{"port": "http"}]}], "everybody may ask, and nobody may scrape"


def test_pods_are_spread_over_zones_and_nodes_and_do_not_keep_a_node_from_being_drained(
    manifests: dict[str, Manifest],
) -> None:
    """Naming one of them alone would end Kubernetes' own spreading over the other."""
    spread = pod(manifests)["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for each in spread:
        assert each["labelSelector"]["matchLabels"].items() <= labels(manifests).items()
    assert manifests["PodDisruptionBudget"]["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_changed_configuration_rolls_the_pods_and_nothing_else_does() -> None:
    def checksum(values: dict[str, Any]) -> str:
        annotations = rendered(values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/config"])

    other = deepcopy(sample("openai"))
    other["config"]["models"][0]["upstream"] = "another"
    assert checksum(other) != checksum(sample("openai")) == checksum(changed(replicas=5))


def test_versions_and_images() -> None:
    with helm_python.Chart.load(CHART) as chart:
        assert chart.metadata["appVersion"] == VERSION
    (container,) = pod(rendered(sample("openai")))["containers"]
    assert container["image"] == f"snowshed:{VERSION}"
    (pinned,) = pod(rendered(sample("triton")))["containers"]
    assert "@sha256:" in pinned["image"]


@pytest.mark.parametrize(
    ("release", "name"), [("demo", "demo-snowshed"), ("snowshed", "snowshed"), ("x" * 53, f"{'x' * 43}-snowshed")]
)
def test_names_follow_the_release(release: str, name: str) -> None:
    found = rendered(sample("openai"), release)
    assert {manifest["metadata"]["name"] for manifest in found.values()} == {name}
    assert len(name) <= 63
    assert pod(found)["volumes"][0]["configMap"]["name"] == name


def test_the_guides_values_and_commands_are_about_what_is_rendered(tmp_path: Path) -> None:
    page = (ROOT / "docs/guides/deploy.md").read_text()
    found = re.search(r"^```yaml\n(# values.yaml\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    release = re.search(r"^helm upgrade --install (\S+) helm/snowshed ", page, re.MULTILINE)
    assert found
    assert release
    manifests = rendered(yaml.safe_load(found[1]), release[1])
    assert configured(manifests, tmp_path).auth.kind == "keys"
    named = set(re.findall(r"deployment/(\S+)", page))
    assert named == {manifests["Deployment"]["metadata"]["name"]}
    assert set(re.findall(r"--config (/[\w./]+)", page)) == {"/etc/snowshed/snowshed.yaml"}


def test_tokens_let_callers_in_without_a_database(tmp_path: Path) -> None:
    jwt = {"issuer": "https://login.example.com", "audiences": ["x"], "tenant": "acme"}
    values = changed(config={**sample("triton")["config"], "auth": {"kind": "jwt", "jwt": jwt}})
    manifests = rendered(values)
    assert configured(manifests, tmp_path).auth.kind == "jwt"
    assert "Job" not in manifests
    with helm_python.Chart.load(CHART) as chart:
        notes = chart.render(values, name="demo", namespace="serving")["snowshed/templates/NOTES.txt"]
    assert "Callers need a token of https://login.example.com." in notes
    assert "snowshed keys" not in notes
    assert "not authenticated" not in notes


def test_notes_say_where_it_serves() -> None:
    with helm_python.Chart.load(CHART) as chart:
        notes = chart.render(sample("triton"), name="demo", namespace="serving")["snowshed/templates/NOTES.txt"]
    assert "serves llama in 3 processes." in notes
    assert "-- snowshed keys create acme --config /etc/snowshed/snowshed.yaml" in notes
    assert "port-forward deployment/demo-snowshed 8082:8082" in notes
    assert "http://demo-snowshed.serving:8080/v1" in notes


def test_pods_have_the_labels_by_which_they_are_found_and_those_of_ones_own(values: dict[str, Any]) -> None:
    manifests = rendered({**values, "podLabels": {"team": "serving"}})
    selector = manifests["Deployment"]["spec"]["selector"]["matchLabels"]
    assert {**selector, "team": "serving"}.items() <= labels(manifests).items()
    assert manifests["Deployment"]["metadata"]["labels"].items() <= labels(manifests).items()

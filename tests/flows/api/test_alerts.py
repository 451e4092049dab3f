"""The alerting rules and the guide speak of metrics that a running gateway shows, with labels and values it uses."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.replica_metrics import REASONS
from tests.architecture.tree import ROOT
from tests.support import plain
from tests.support.api import Api
from tests.support.asking import body
from tests.support.gateway import RunningGateway, configuration, running_gateway

GUIDE = (ROOT / "docs/guides/observability.md").read_text()
SCRAPERS = {"job", "instance"}
"""Labels that Prometheus adds."""


@cache
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "docs/alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def exposition(gateway: RunningGateway) -> str:
    return plain.get(f"{gateway.ops_url}/metrics").text


def samples(text: str) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


@pytest.fixture(scope="module")
def shown(shared: Api, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of each series' name, after requests that ended in several ways, and with keys.

    Families that have no series yet, as those of what is not configured, are there by their names alone.
    """
    asked = (body(), body(stream=True), body("fault=status,status=500"), body(model="nobody"))
    for each in asked:
        shared.http.post("/v1/chat/completions", json=each)
    found: dict[str, set[str]] = {}

    def counted() -> bool:
        read = samples(exposition(shared.gateway))
        for sample in read:
            found.setdefault(sample.name, set()).update(sample.labels)
        return sum(sample.value for sample in read if sample.name == "snowshed_requests_total") == len(asked)

    shared.gateway.wait_until(counted)
    mesh = {"peers": ["127.0.0.1"], "identities": [{"identity": "x", "tenant": "acme"}]}
    jwt = {"issuer": "http://127.0.0.1:9", "audiences": ["x"], "tenant": "acme"}
    keys = {"kind": "keys", "sqlite": str(tmp_path_factory.mktemp("keys") / "keys.db"), "jwt": jwt, "mesh": mesh}
    with running_gateway(configuration(auth=keys, admin={"port": 0})) as gateway:
        text = exposition(gateway)
    for sample in samples(text):
        found.setdefault(sample.name, set()).update(sample.labels)
    for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE):
        found.setdefault(name, set())
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_there_is(rule: dict[str, Any], shown: dict[str, set[str]]) -> None:
    expression = rule["expr"]
    matchers = re.findall(r"{([^}]*)}", expression)
    compared = {label for matcher in matchers for label in re.findall(r'(\w+)(?:=~|!~|!=|=)"', matcher)}
    lists = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    grouped = {label.strip() for labels in lists for label in labels.split(",")}
    bare = re.sub(r"{[^}]*}|\b(?:by|on) \([^)]*\)", "", expression)
    names = set(re.findall(r"\b(?:snowshed|gen_ai|process)_\w+", bare))
    assert names
    assert names <= shown.keys()
    assert compared | grouped <= set().union(*(shown[name] for name in names)) | SCRAPERS
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_is_whole_and_explained(rule: dict[str, Any]) -> None:
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary"}
    assert f"| `{rule['alert']}` |" in GUIDE


def test_every_explained_alert_is_a_rule() -> None:
    assert set(re.findall(r"^\| `(Snowshed\w+)` \|", GUIDE, re.MULTILINE)) == {rule["alert"] for rule in rules()}
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_values_that_rules_compare_with_are_used() -> None:
    asked = " ".join(rule["expr"] for rule in rules())
    codes = {code for found in re.findall(r'code=~?"([^"]*)"', asked) for code in found.split("|")}
    assert codes
    source = (ROOT / "gateway/errors.py").read_text()
    assert not [code for code in codes if f'"{code}"' not in source]
    assert set(re.findall(r'reason!?="([^"]*)"', asked)) <= set(REASONS.values())


def test_the_guide_names_every_family_and_no_other(shown: dict[str, set[str]]) -> None:
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown if name.startswith(("snowshed_", "gen_ai_"))}
    rows = re.findall(r"^\| `((?:snowshed|gen_ai)_\w+)` \| (?:counter|gauge|histogram) \|", GUIDE, re.MULTILINE)
    assert set(rows) == ours

"""Replicas that are found by a host's addresses have one entry, which says where an address goes."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import ConfigError, ModelSpec, check

FOUND = {"url": "http://{address}:8000/v1"}
ONE = "discover takes one entry in replicas, with {address} in its url"


def checked(**members: Any) -> ModelSpec:
    [spec] = check({"models": [{"name": "m", **members}]}, "x").models
    return spec


@pytest.mark.parametrize(
    ("address", "url"),
    [("10.0.0.1", "http://10.0.0.1:8000/v1"), ("fd00::1", "http://[fd00::1]:8000/v1")],
)
def test_replicas_of_a_host_are_at_its_addresses(address: str, url: str) -> None:
    spec = checked(engine="openai", discover={"host": "pods"}, replicas=[FOUND])
    assert spec.discover
    assert (spec.discover.host, spec.discover.every) == ("pods", 5)
    assert spec.replica_at(address).model_dump()["url"] == url
    assert spec.replicas[0].model_dump()["url"] == FOUND["url"]  # as it is shown


def test_wherever_an_address_is_left_open_it_is_filled() -> None:
    replica = {"url": "{address}:8001", "metrics": "http://{address}:8002/metrics"}
    spec = checked(engine="triton", discover={"host": "pods"}, replicas=[replica])
    made = spec.replica_at("10.0.0.1").model_dump()
    assert (made["url"], made["metrics"]) == ("grpc://10.0.0.1:8001", "http://10.0.0.1:8002/metrics")


@pytest.mark.parametrize(
    ("members", "path", "words"),
    [
        ({"replicas": [FOUND]}, "models[0]", "is for discover"),
        ({"discover": {"host": "p"}, "replicas": [{"url": "http://a/v1"}]}, "models[0]", ONE),
        ({"discover": {"host": "p"}, "replicas": [FOUND, {"url": "http://a/v1"}]}, "models[0]", ONE),
        ({"discover": {"host": "p"}, "replicas": [FOUND, FOUND]}, "models[0]", ONE),
        ({"discover": {"host": "p"}, "engine": "scripted"}, "models[0]", ONE),
        ({"discover": {"host": "p q"}, "replicas": [FOUND]}, "models[0].discover.host", "a host's name"),
        ({"discover": {"host": "p", "every": 0}, "replicas": [FOUND]}, "models[0].discover.every", "at least 100ms"),
    ],
    ids=range(7),
)  # fmt: skip
def test_a_host_and_its_one_template_go_together(members: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        checked(**{"engine": "openai", **members})
    [line] = str(refused.value).splitlines()[1:]
    assert line.startswith(f"  {path}: ")
    assert words in line


def test_what_a_scripted_model_says_is_no_template() -> None:
    spec = checked(engine="scripted", replicas=[{"text": "I live at {address}."}])
    assert spec.discover is None

"""The environment goes over the file; one that sets nothing is a mistake, told with the nearest that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from engines import ENGINES
from engines.credentials import SecretReference
from gateway.config import Config, ConfigError, check, load
from gateway.config.shape import section_within
from router.policies import POLICIES

SECRET = "sk-canary-9f3b"
TREE: dict[str, Any] = {
    "server": {"port": 7000, "names": ["a"]},
    "models": [{"name": "m", "engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1"}]}],
}
KEY = "SNOWSHED_MODELS__0__REPLICAS__0__API_KEY"


def told(tree: Any = TREE, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(tree, "gateway.yaml", environment)
    assert SECRET not in str(caught.value)
    head, *lines = str(caught.value).splitlines()
    assert head == "gateway.yaml:"
    return [line.strip() for line in lines]


def test_the_environment_goes_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("server: {port: 7000, host: localhost}\nmodels: [{name: m, engine: scripted}]\n")
    server = load(file, {"SNOWSHED_SERVER__PORT": "9000", "SNOWSHED_SERVER__DRAIN_DELAY": "500ms"}).server
    assert (server.port, server.host, server.drain_delay, server.drain_cap) == (9000, "localhost", 0.5, 120)


def test_without_a_file_it_goes_over_the_defaults() -> None:
    config = load(None, {"SNOWSHED_OPS__PORT": "0", "SNOWSHED_MODELS__0__REPLICAS__0__SLOTS": "2"})
    assert config.ops.port == 0
    assert config.models[0].replicas[0].model_dump()["slots"] == 2


def test_lists_are_replaced_changed_in_place_and_grown() -> None:
    environment = {
        "SNOWSHED_SERVER__NAMES": "[b, c]",
        "SNOWSHED_SERVER__OPEN": "true",
        "SNOWSHED_MODELS__0__MAX_TOKENS": "7",
        "SNOWSHED_MODELS__0__REPLICAS__1": "{url: 'http://127.0.0.1:2/v1'}",
        "SNOWSHED_MODELS__1__NAME": "n",
        "SNOWSHED_MODELS__1__ENGINE": "scripted",
        "SNOWSHED_LIMITS": "{body: 1MiB}",
    }
    before = repr(TREE)
    config = check(TREE, "x", environment)
    assert (config.server.names, config.server.open, config.limits.body) == (("b", "c"), True, 1 << 20)
    assert [(model.name, model.max_tokens, len(model.replicas)) for model in config.models] == [
        ("m", 7, 2),
        ("n", 1024, 1),
    ]
    assert repr(TREE) == before


def test_p32_a_secret_in_its_own_variable_stays_there() -> None:
    """P32: the configuration has its variable's name, as if the file had said `{env: …}`."""
    config = check(TREE, "x", {KEY: SECRET})
    assert config.models[0].replicas[0].api_key == SecretReference(env=KEY)  # type: ignore[attr-defined]
    assert SECRET not in repr(config)


def test_a_secret_in_a_file_is_named_by_the_variable_with_file_at_its_end() -> None:
    config = check(TREE, "x", {f"{KEY}_FILE": "/run/secrets/key"})
    assert config.models[0].replicas[0].api_key == SecretReference(file=Path("/run/secrets/key"))  # type: ignore[attr-defined]
    both = told(**{f"{KEY}_FILE": "/run/secrets/key", KEY: SECRET})
    assert both == [f"{KEY}: says the same as {KEY}_FILE: one of them is enough"]


def test_no_setting_is_called_like_the_file_of_another() -> None:
    def names(section: type[BaseModel]) -> set[str]:
        deeper = [within for field in section.model_fields.values() if (within := section_within(field.annotation))]
        return {*section.model_fields, *(name for one in deeper for name in names(one))}

    every = names(Config).union(*(names(engine.Options) for engine in ENGINES.values()))
    assert {"port", "name", "api_key", "ca"} <= every
    assert not [name for name in every if name.endswith("_file") or "__" in name]


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("SNOWSHED_SERVER__PROT", "1", "there is no such setting; did you mean SNOWSHED_SERVER__PORT?"),
        ("SNOWSHED_SERVER_PORT", "1", "there is no such setting; did you mean SNOWSHED_SERVER__PORT?"),
        ("SNOWSHED_DRAIN_CAP", "1", "there is no such setting; did you mean SNOWSHED_SERVER__DRAIN_CAP?"),
        ("SNOWSHED_MODELS__0__REPLICAS__0__URLL", SECRET,
         "there is no such setting; did you mean SNOWSHED_MODELS__0__REPLICAS__0__URL?"),
        ("SNOWSHED_FARAWAY", SECRET, "there is no such setting"),
        ("SNOWSHED_MODELS__0__REPLICAS__0__URL", "tcp://x", "must be an http:// or https:// URL with a host"),
        ("SNOWSHED_MODELS__0__POLICY", "round_robbin",
         f"must be one of {', '.join(POLICIES)}; did you mean round_robin?"),
        ("SNOWSHED_SERVER__DRAIN_CAP", SECRET, "takes seconds, or a number with a unit: ms, s, m or h"),
        ("SNOWSHED_MODELS__3__NAME", "x", "models goes on with number 1"),
        ("SNOWSHED_MODELS__FIRST__NAME", "x", "models takes no settings by name"),
        ("SNOWSHED_SERVER__NAMES", SECRET, "takes a list, as in [one, other]"),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_mistake_is_told_by_the_name_of_its_variable(name: str, value: str, line: str) -> None:
    assert told(**{name: value}) == [f"{name}: {line}"]


def test_what_a_variable_holds_is_told_by_its_place_in_it() -> None:
    assert told(SNOWSHED_SERVER=f"{{prot: {SECRET}}}") == [
        "SNOWSHED_SERVER prot: there is no such setting; did you mean SNOWSHED_SERVER__PORT?"
    ]
    [line] = told(SNOWSHED_SERVER="{port: 1")
    assert line.startswith("SNOWSHED_SERVER:1:9: not readable as YAML")


def test_mistakes_of_both_are_told_in_one_report() -> None:
    lines = told({**TREE, "sever": 1}, SNOWSHED_OPS__PORT="x", SNOWSHED_MODELS__9__NAME="x")
    assert [line.split(":")[0] for line in lines] == ["SNOWSHED_MODELS__9__NAME", "SNOWSHED_OPS__PORT", "sever"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SNOWSHED_CACHE", "/x"), ("SNOWSHED_ADMIN_URL", "http://127.0.0.1:8082"), ("SNOWSHED_ADMIN_KEY", "sk-snow-x"),
        ("SNOWSHED_SERVICE_HOST", "10.0.0.1"), ("SNOWSHED_PORT", "tcp://10.0.0.1:8080"),
        ("SNOWSHED_PORT_8080_TCP_ADDR", "10.0.0.1"), ("SNOWSHED_PORT_80_TCP_PORT", "80"),
        ("SNOWSHED_OPS_PORT", "tcp://10.0.0.1:8081"), ("SNOWSHED_OPS_SERVICE_PORT_HTTP", "8081"), ("SNOW", "1"),
        ("SNOWSHED_MINE", SECRET),
    ],
)  # fmt: skip
def test_variables_of_others_are_left_alone(name: str, value: str) -> None:
    """Kubernetes tells a pod of Services by such names; a file may take a secret from a variable of any name."""
    replica = {"url": "http://127.0.0.1:1/v1", "api_key": {"env": "SNOWSHED_MINE"}}
    tree = {"models": [{"name": "m", "engine": "openai", "replicas": [replica]}]}
    assert check(tree, "x", {name: value}) == check(tree, "x")

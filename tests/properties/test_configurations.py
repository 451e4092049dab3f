"""Whatever a file or the environment holds: a configuration, or one report that repeats none of its values."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config, ConfigError, check, load
from gateway.config.shape import single_settings
from gateway.config.showing import shown
from router.api import Caller
from router.split import Split
from tests.support.examples import thorough

SECRET = "canary9f3b"
NAMES = [
    "models", "server", "timeouts", "limits", "name", "engine", "replicas", "url", "api_key", "env", "file", "port",
    "head", "tokenizer", "tools", "adapters", "arguments", "tensors", "prot", "routing", "model", "__proto__", "0", "",
]  # fmt: skip
ENGINES = ["openai", "triton", "tensorrt_llm", "embedded", "scripted", SECRET]
LEAVES = st.one_of(
    st.sampled_from([SECRET, f"http://{SECRET}", f"5{SECRET}", *ENGINES]),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)
MODELS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b"]), "engine": st.sampled_from(ENGINES)},
        optional={
            "replicas": st.lists(st.dictionaries(st.sampled_from(NAMES), TREES, max_size=4), max_size=2),
            "version": st.sampled_from(["1", "2"]),
            "weight": st.floats(-1, 2),
        },
    ),
    max_size=3,
)
CALLED = st.sampled_from(["a", "a", "b", "b", SECRET])
VERSION = st.sampled_from(["1", "1", "2", SECRET])
ROUTES = st.lists(
    st.fixed_dictionaries(
        {"model": CALLED},
        optional={
            "aliases": st.lists(CALLED | st.sampled_from("uvwxyz"), max_size=2),
            "rules": st.lists(st.fixed_dictionaries({"version": VERSION, "keys": st.just(["k"])}), max_size=2),
            "fallback": st.fixed_dictionaries({"models": st.lists(CALLED, min_size=1, max_size=2)}),
            "shadow": st.fixed_dictionaries({"version": VERSION, "share": st.floats(0, 1)}),
        },
    ),
    max_size=3,
)
PLAIN = st.lists(
    st.fixed_dictionaries(
        {"name": CALLED, "engine": st.just("scripted"), "version": st.sampled_from(["1", "2"])},
        optional={"weight": st.floats(0, 2)},
    ),
    min_size=1,
    max_size=4,
)
VARIABLES = st.builds(
    lambda parts, end: "SNOWSHED_" + "__".join(parts).upper() + end,
    st.lists(st.sampled_from([*NAMES, "1", "7", "9" * 5000]), max_size=5),
    st.sampled_from(["", "", "_FILE", "_", "é"]),
)
TEXTS = st.sampled_from(
    ["", "1", "5m", SECRET, f"[{SECRET}", f"{{{SECRET}: 1}}", f"[{{name: {SECRET}}}]", "\udc80", "tcp://x"]
)
YAMLISH = st.text(st.sampled_from("abc:-[]{}&*!|>'\"%@#?, \n\t01.~<=\ud800\x00é"), max_size=60)


def is_told(error: ConfigError) -> None:
    told = str(error)
    assert SECRET not in told.replace(f"{SECRET}: there is no such setting", "")  # a name, not a value
    assert len(told.splitlines()) >= 1


@given(
    TREES
    | st.fixed_dictionaries({"models": MODELS}, optional={"server": TREES, "limits": TREES, "routing": TREES | ROUTES})
)
def test_any_tree_is_a_configuration_or_a_report(tree: Any) -> None:
    try:
        config = check(tree, "x")
    except ConfigError as error:
        is_told(error)
    else:
        assert check(shown(config, effective=True), "shown").server == config.server


@thorough(300)
@given(PLAIN, ROUTES)
def test_any_routes_between_models_are_a_configuration_or_a_report(models: Any, routing: Any) -> None:
    """And what is taken can be split: no model is left without a version, no rule leads nowhere."""
    try:
        config = check({"models": models, "routing": routing}, "x")
    except ConfigError as error:
        is_told(error)
        return
    rules = {route.model: route.split_rules for route in config.routing}
    for name in {spec.name for spec in config.models}:
        weights = {spec.version: spec.weight for spec in config.models if spec.name == name}
        assert Split(name, weights, "key", rules.get(name, ())).choose(Caller(key="k"), Random(1)).version in weights
    assert len({spec.label for spec in config.models}) == len(config.models)


@given(st.dictionaries(VARIABLES, TEXTS, max_size=6))
def test_any_environment_is_a_configuration_or_a_report(environment: dict[str, str]) -> None:
    try:
        assert isinstance(load(None, environment), Config)
    except ConfigError as error:
        is_told(error)


@given(YAMLISH.map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=60))
def test_any_file_is_a_configuration_or_a_report(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file, contextlib.suppress(ConfigError):
        Path(file.name).write_bytes(content)
        assert isinstance(load(Path(file.name)), Config)


def test_each_single_setting_can_be_set_from_the_environment() -> None:
    """With its own default, which changes nothing."""
    tree = shown(load(None), effective=True)
    paths = [path for path in single_settings() if path != ("models",)]
    assert len(paths) > 15
    for path in paths:
        value: Any = tree
        for part in path:
            value = value[part]
        name = "SNOWSHED_" + "__".join(map(str, path)).upper()
        if value is not None:
            assert load(None, {name: str(value)}) == load(None), name

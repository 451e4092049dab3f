"""Whatever a file or the environment holds: a configuration, or one report that repeats none of its values."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config, ConfigError, check, load
from gateway.config.shape import single_settings
from gateway.config.showing import shown

SECRET = "canary9f3b"
NAMES = [
    "models", "server", "timeouts", "limits", "name", "engine", "replicas", "url", "api_key", "env", "file", "port",
    "head", "tokenizer", "tools", "adapters", "arguments", "tensors", "prot", "__proto__", "0", "",
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
        optional={"replicas": st.lists(st.dictionaries(st.sampled_from(NAMES), TREES, max_size=4), max_size=2)},
    ),
    max_size=2,
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


@given(TREES | st.fixed_dictionaries({"models": MODELS}, optional={"server": TREES, "limits": TREES}))
def test_any_tree_is_a_configuration_or_a_report(tree: Any) -> None:
    try:
        config = check(tree, "x")
    except ConfigError as error:
        is_told(error)
    else:
        assert check(shown(config, effective=True), "shown").server == config.server


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

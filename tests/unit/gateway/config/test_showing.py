"""What is shown can be loaded again and holds no secret; what it refers to is looked for before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import ConfigError, check, check_sources, load
from gateway.config.showing import BLANK, shown

SECRET = "sk-canary-9f3b"


def openai(**options: Any) -> dict[str, Any]:
    replica = {"url": "http://127.0.0.1:1/v1", **options}
    return {"models": [{"name": "m", "engine": "openai", "replicas": [replica]}]}


def test_effective_is_everything_and_loads_to_the_same() -> None:
    config = check({**openai(api_key={"env": "X"}), "limits": {"body": "3MiB"}, "timeouts": {"head": 1.25}}, "x")
    tree = shown(config, effective=True)
    assert (tree["limits"]["body"], tree["timeouts"]["head"], tree["server"]["drain_cap"]) == ("3MiB", "1250ms", "2m")
    assert check(tree, "shown") == config


def test_otherwise_it_is_what_was_set() -> None:
    tree = {**openai(api_key={"env": "X"}), "limits": {"body": "3MiB"}}
    assert shown(check(tree, "x"), effective=False) == tree
    assert shown(load(None), effective=False) == {"models": [{"name": "smollm2-135m-instruct", "engine": "embedded"}]}


def test_p32_what_may_be_a_secret_is_blanked() -> None:
    """P32: free-form arguments and the user information of URLs are all that could hold one."""
    arguments = {"hf_token": SECRET, "in": {"API_KEY": SECRET}, "hub": f"https://me:{SECRET}@hub/", "max_num_token": 5}
    model = {"name": "m", "engine": "tensorrt_llm", "replicas": [{"model": "/m", "arguments": arguments}]}
    tree = shown(check({"models": [model]}, "x"), effective=True)
    assert SECRET not in str(tree)
    assert tree["models"][0]["replicas"][0]["arguments"] == {
        "hf_token": BLANK, "in": {"API_KEY": BLANK}, "hub": f"https://me:{BLANK}@hub/", "max_num_token": 5,
    }  # fmt: skip
    environment = {"SNOWSHED_MODELS__0__REPLICAS__0__API_KEY": SECRET}
    assert SECRET not in str(shown(check(openai(), "x", environment), effective=True))


@pytest.mark.parametrize(
    "given",
    [
        {"api-key": SECRET},
        {"x-api-key": SECRET},
        {"apikey": SECRET},
        {"apiKey": SECRET},
        {"api_keys": [SECRET, {"name": "a", "value": SECRET}]},
        {"tokens": [SECRET]},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"credentials": {"user": "me", "pass": SECRET}},
        {"passwd": SECRET},
        {"pwd": SECRET},
        {"hub": f"https://hub/?revision=1&api_key={SECRET}#a"},
        {"hub": f"https://hub/?token={SECRET}"},
    ],
)
def test_p32_a_secret_has_many_names(given: dict[str, Any]) -> None:
    model = {"name": "m", "engine": "tensorrt_llm", "replicas": [{"model": "/m", "arguments": given}]}
    assert SECRET not in str(shown(check({"models": [model]}, "x"), effective=False))


def test_p32_what_is_no_secret_is_shown() -> None:
    arguments = {
        "tokenizer": "/t", "tokenizer_mode": "slow", "key_value": "x", "max_num_token": 5, "monkey": "m",
        "compass": "n", "hub": "https://hub:5000/?revision=a&monkey=b",
    }  # fmt: skip
    model = {"name": "m", "engine": "tensorrt_llm", "replicas": [{"model": "/m", "arguments": arguments}]}
    tree = shown(check({"models": [model]}, "x"), effective=False)
    assert tree["models"][0]["replicas"][0]["arguments"] == arguments


def test_everything_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    triton = {"url": "grpcs://127.0.0.1:1", "tokenizer": str(tmp_path), "tls": {"ca": str(tmp_path / "ca.pem")}}
    tree = openai(api_key={"file": str(tmp_path / "empty")})
    tree["models"] += [{"name": "t", "engine": "triton", "replicas": [triton]}]
    tree["models"] += [{**openai(api_key={"env": "NO_SUCH_VARIABLE"})["models"][0], "name": "n"}]
    with pytest.raises(ConfigError) as caught:
        check_sources(check(tree, "x"))
    assert str(caught.value).splitlines()[1:] == [
        f"  models[0].replicas[0].api_key: file {tmp_path / 'empty'} holds no usable secret",
        f"  models[1].replicas[0].tls.ca: there is no {tmp_path / 'ca.pem'}",
        "  models[2].replicas[0].api_key: environment variable NO_SUCH_VARIABLE is not set",
    ]


def test_a_file_that_may_not_even_be_looked_for_is_told_like_others() -> None:
    """The system refuses with more errors than that there is none: a closed folder, or a name that is too long."""
    path = f"/{'x' * 300}.gguf"
    model = {"name": "m", "engine": "embedded", "replicas": [{"model_path": path}]}
    with pytest.raises(ConfigError) as caught:
        check_sources(check({"models": [model]}, "x"))
    assert str(caught.value).splitlines()[1:] == [f"  models[0].replicas[0].model_path: {path} can't be read"]


def test_what_is_there_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", SECRET)
    check_sources(check(openai(api_key={"env": "A_KEY"}), "x"))
    check_sources(load(None))

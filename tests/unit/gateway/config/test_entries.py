"""What is set over the file is read, checked and laid over it so that nothing holds that no file could say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines import ENGINES
from engines.credentials import SecretReference
from gateway.config import Config, check
from gateway.config.entries import Unfit, laid_over, read_entry
from gateway.config.sources import references

URL = "http://127.0.0.1:9/v1"
SECRET = "sk-not-to-be-told"
SIGNED = {"url": URL, "api_key": {"env": "THEIR_KEY"}}
TLS = {"ca": "/etc/ca.pem", "certificate": "/etc/own.pem", "key": "/etc/own.key"}
TRITON = {
    "url": "grpcs://127.0.0.1:9", "tls": TLS, "tokenizer": "/models/tokenizer", "chat_template": "/models/chat.jinja"
}  # fmt: skip


def served(*replicas: dict[str, Any], engine: str = "openai", **settings: Any) -> dict[str, Any]:
    return {"engine": engine, "replicas": list(replicas or [{"url": URL}]), **settings}


def file(*models: dict[str, Any], **sections: Any) -> Config:
    return check({"models": [{"name": "chat", **served(), **model} for model in models or ({},)], **sections}, "file")


def laid(config: Config, **given: dict[str, Any]) -> list[str]:
    """The labels of what holds, where `v2` is chat@2 and other names are models."""
    entries = [
        read_entry("chat", name[1:], entry) if name[0] == "v" else read_entry(name, "1", entry)
        for name, entry in given.items()
    ]
    return [spec.label for spec in laid_over(config, {spec.label: spec for spec in entries}).models]


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        (served(engine="opnai"), ("engine",), "must be one of "),
        (served(wieght=SECRET), ("wieght",), "there is no such setting; did you mean weight?"),
        (served(port=5), ("port",), "there is no such setting"),
        (served({"ulr": URL}), ("replicas", 0, "ulr"), "there is no such setting; did you mean replicas[0].url?"),
        (served({"url": URL}, {"url": SECRET}), ("replicas", 1, "url"), "must be an http:// or https:// URL"),
        (served({"url": URL, "api_key": SECRET}), ("replicas", 0, "api_key"), "takes {env: NAME} or {file: PATH}"),
        (served(weight=True), ("weight",), "takes a number"),
        (served(weight=-1), ("weight",), "must be at least 0"),
        (served(max_tokens=2.5), ("max_tokens",), "takes a whole number"),
        (served(name="chat"), ("name",), "is said already, by what is set"),
        (served(version=SECRET), ("version",), "is said already, by what is set"),
        ({}, ("engine",), "is required"),
        ({"engine": "openai", "replicas": []}, ("replicas",), "takes a list with at least one entry"),
        (served(discover={"host": "h"}), (), "discover takes one entry in replicas, with {address} in its url"),
        (served(weight=float("inf")), (), "takes settings by name, nested at most 64 deep"),
        ([SECRET], (), "takes settings by name"),
        (SECRET, (), "takes settings by name"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_path_and_without_what_was_given(
    given: Any, path: tuple[str | int, ...], said: str
) -> None:
    with pytest.raises(Unfit) as refused:
        read_entry("chat", "2", given)
    found = dict(refused.value.found)
    assert found[("chat@2", *path)].startswith(said)
    assert SECRET not in str(refused.value)


def test_nesting_beyond_measure_is_refused_before_it_is_walked() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(Unfit):
        read_entry("chat", "2", served(upstream=deep))


@pytest.mark.parametrize("name", ["a@b", "a b", "", "a" * 129])
def test_a_name_is_one_that_the_file_could_have(name: str) -> None:
    with pytest.raises(Unfit):
        read_entry(name, "1", served())
    with pytest.raises(Unfit):
        read_entry("chat", f"{name}:", served())


def test_it_stands_in_the_place_of_the_files_and_others_behind_them() -> None:
    config = file({"version": "1"}, {"version": "2", "max_tokens": 5}, {"name": "small"})
    assert laid(config, v9=served(), v2=served(max_tokens=7), a=served()) == [
        "chat@1", "chat@2", "small@1", "a@1", "chat@9"
    ]  # fmt: skip
    entry = read_entry("chat", "2", served(max_tokens=7))
    over = laid_over(config, {entry.label: entry})
    assert [spec.max_tokens for spec in over.models] == [1024, 7, 1024]
    assert laid_over(config, {}) == config


ADAPTED = served({"url": "127.0.0.1:9", "adapters": [{"name": "poet", "id": 1}]}, engine="triton")


@pytest.mark.parametrize(
    ("config", "given", "path", "said"),
    [
        (file(), {"v2": served({"url": URL}, {"url": URL})}, ("chat@2", "replicas", 1), "is replicas[0] once more"),
        (file(), {"v2": ADAPTED}, ("chat@2",), "versions of a model must list the same adapters, as models[0] does"),
        (file({"weight": 1}), {"v1": served(weight=0)}, ("chat@1", "weight"), "the weights of a model's versions"),
        (file({"version": "a"}, {"version": "b", "weight": 0}), {"va": served(weight=0)}, ("chat@a", "weight"), "the"),
        (file({"version": "a", "weight": 0}, {"version": "b"}), {"vb": served(weight=0)}, ("models", 0, "weight"),
         "the weights of a model's versions must not sum to 0"),
        (file(), {"new": served(weight=0)}, ("new@1", "weight"), "the weights of a model's versions must not sum to 0"),
        (file(routing=[{"model": "chat", "aliases": ["new"]}]), {"new": served()}, ("routing", 0, "aliases", 0),
         "that name, or it with an adapter, is taken by new@1"),
    ],
)  # fmt: skip
def test_what_holds_is_checked_as_a_file_is(
    config: Config, given: dict[str, Any], path: tuple[str | int, ...], said: str
) -> None:
    with pytest.raises(Unfit) as refused:
        laid(config, other=served(), **given)
    assert dict(refused.value.found)[path].startswith(said)
    (culprit,) = given
    label = f"chat@{culprit[1:]}" if culprit[0] == "v" else "new@1"
    assert str(refused.value).startswith(f"what was set over the admin API stands in the way ({label}):\n")


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_what_runs_here_is_for_the_file_alone(engine: str) -> None:
    replica: dict[str, Any] = {"openai": {"url": URL}, "triton": {"url": "h:1"}, "tensorrt_llm": {"model": "m"}}.get(
        engine, {}
    )
    entry = {"engine": engine, "replicas": [replica]}
    if engine in {"openai", "scripted", "triton"}:
        assert laid(file(), v2=entry) == ["chat@1", "chat@2"]
        return
    own = file({**entry, "name": "own"})  # not even if the file has it
    with pytest.raises(Unfit) as refused:
        laid(own, v2=entry)
    assert [path for path, _ in refused.value.found] == [("chat@2", "engine")]


def test_secrets_and_files_are_named_only_as_the_file_names_them() -> None:
    config = file({}, {"name": "theirs", **served(SIGNED)}, {"name": "tuned", **served(TRITON, engine="triton")})
    assert laid(config, v2=served({**SIGNED, "url": "http://127.0.0.1:10/v1"})) == [*labels(config), "chat@2"]
    assert laid(config, v2=served({**TRITON, "url": "grpcs://127.0.0.1:10"}, engine="triton"))[-1] == "chat@2"


@pytest.mark.parametrize(
    ("replica", "engine", "place"),
    [
        ({**SIGNED, "api_key": {"env": "HOME"}}, "openai", ("api_key",)),
        ({**SIGNED, "api_key": {"file": "/etc/own.key"}}, "openai", ("api_key",)),
        ({**SIGNED, "api_key": {"file": "THEIR_KEY"}}, "openai", ("api_key",)),
        ({**TRITON, "chat_template": "/etc/own.key"}, "triton", ("chat_template",)),
        ({**TRITON, "tokenizer": "/models/../models/tokenizer"}, "triton", ("tokenizer",)),
        ({**TRITON, "tls": {**TLS, "ca": "/etc/own.pem"}}, "triton", ("tls", "ca")),
        ({**TRITON, "tls": {**TLS, "key": "/etc/other.key"}}, "triton", ("tls", "key")),
    ],
)  # fmt: skip
def test_no_other_secret_or_file_and_none_in_another_place(
    replica: dict[str, Any], engine: str, place: tuple[str, ...]
) -> None:
    """A key in the place of a chat template would be sent to the server with every prompt."""
    config = file({"name": "theirs", **served(SIGNED)}, {"name": "tuned", **served(TRITON, engine="triton")})
    with pytest.raises(Unfit) as refused:
        laid(config, v2=served(replica, engine=engine))
    assert [path for path, _ in refused.value.found] == [("chat@2", "replicas", 0, *place)]


def test_references_are_found_wherever_options_have_them() -> None:
    found = dict(references(read_entry("m", "1", served(TRITON, engine="triton"))))
    assert set(found.values()) == {Path(path) for path in (*TLS.values(), "/models/tokenizer", "/models/chat.jinja")}
    assert list(references(read_entry("m", "1", served(SIGNED)))) == [
        (("replicas", 0, "api_key"), SecretReference(env="THEIR_KEY"))
    ]


def labels(config: Config) -> list[str]:
    return [spec.label for spec in config.models]

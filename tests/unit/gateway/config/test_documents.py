"""Schema and reference are made from the models, committed, and as strict as the configuration itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from pydantic import BaseModel

from engines import ENGINES
from gateway.config import Config, ConfigError, check, load
from gateway.config.__main__ import FOLDER, documents
from gateway.config.schema import schema
from gateway.config.shape import section_within
from tests.support.gateway import ROOT

SECTIONS: list[type[BaseModel]] = [Config, *(engine.Options for engine in ENGINES.values())]


def fields(section: type[BaseModel], path: str) -> Iterator[tuple[str, str | None]]:
    """Every setting and what it is for."""
    for name, field in section.model_fields.items():
        yield f"{path}.{name}", field.description
        within = section_within(field.annotation)
        if within is not None and within is not BaseModel:
            yield from fields(within, f"{path}.{name}")


@pytest.mark.parametrize("name", documents())
def test_the_committed_documents_are_fresh(name: str) -> None:
    """`python -m gateway.config` writes them anew."""
    assert (ROOT / FOLDER / name).read_text(encoding="utf-8") == documents()[name]


@pytest.mark.parametrize(
    "section", [Config, *(engine.Options for engine in ENGINES.values())], ids=lambda it: it.__name__
)
def test_every_setting_says_what_it_is_for(section: type[BaseModel]) -> None:
    described = dict(fields(section, section.__name__))
    assert len(described) >= 4
    assert not [path for path, text in described.items() if not text or not text.endswith(".")]


def test_the_reference_is_a_configuration_that_changes_no_default() -> None:
    config = load(ROOT / FOLDER / "config.yaml")
    assert [model.engine for model in config.models] == list(ENGINES)
    assert config.model_copy(update={"models": ()}) == load(None).model_copy(update={"models": ()})
    for model in config.models:
        [options] = model.replicas
        required = {name: getattr(options, name) for name, it in type(options).model_fields.items() if it.is_required()}
        assert options == type(options)(**required)


def test_the_reference_names_every_setting_of_every_engine() -> None:
    text = (ROOT / FOLDER / "config.yaml").read_text()
    names = {path.rpartition(".")[2] for engine in ENGINES.values() for path, _ in fields(engine.Options, "")}
    assert {name for name in names if f"{name}:" not in text} == set()


def validator() -> Any:
    return jsonschema.Draft202012Validator(schema())


EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.mark.parametrize("file", [*EXAMPLES, ROOT / FOLDER / "config.yaml"], ids=lambda it: it.name)
def test_the_schema_takes_what_the_configuration_takes(file: Path) -> None:
    assert list(validator().iter_errors(yaml.safe_load(file.read_text()))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"sever": {}},
        {"server": {"prot": 1}},
        {"server": {"port": 70_000}},
        {"timeouts": {"head": "5x"}},
        {"timeouts": {"head": 0}},
        {"limits": {"body": "8M"}},
        {"models": [{"name": "m", "engine": "opnai"}]},
        {"models": [{"name": "m", "engine": "openai", "replicas": [{"ulr": "http://127.0.0.1:1/v1"}]}]},
        {"models": [{"name": "m", "engine": "triton", "replicas": [{"url": "127.0.0.1:1", "slots": 1}]}]},
        {"models": [{"name": "m", "engine": "scripted", "replicas": []}]},
    ],
    ids=range(10),
)
def test_the_schema_refuses_what_the_configuration_refuses(change: dict[str, Any]) -> None:
    tree = {"models": [{"name": "m", "engine": "scripted"}], "timeouts": {"head": "5s"}, "limits": {"body": "8MiB"}}
    assert list(validator().iter_errors(tree)) == []
    assert list(validator().iter_errors({**tree, **change}))


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/guides/*.md")]
BLOCKS = [
    (page.name, tree)
    for page in PAGES
    for block in re.findall(r"^```ya?ml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    if isinstance(tree := yaml.safe_load(block), dict) and tree.keys() & Config.model_fields.keys()
]


@pytest.mark.parametrize(("page", "tree"), BLOCKS, ids=range(len(BLOCKS)))
def test_every_configuration_in_the_documents_is_one(page: str, tree: dict[str, Any]) -> None:
    """Those without models speak of these."""
    models = [{"name": "chat"}, {"name": "chat", "version": "2"}, {"name": "small"}]
    whole = {"models": [{**model, "engine": "scripted"} for model in models], **tree}
    assert set(check(whole, page).model_fields_set) == whole.keys()
    assert list(validator().iter_errors(whole)) == []


def test_the_documents_show_configurations() -> None:
    assert {"README.md", "configuration.md", "embedded.md", "routing.md", "triton.md"} <= {page for page, _ in BLOCKS}


def test_the_guides_report_of_mistakes_is_what_is_told() -> None:
    page = (ROOT / "docs/guides/configuration.md").read_text()
    tree = {"limits": {"body": "8M"}, "models": [{"name": "m", "engine": "opnai"}]}
    with pytest.raises(ConfigError) as caught:
        check(tree, "gateway.yaml", {"SNOWSHED_SERVER_PORT": "1"})
    assert f"```\n{caught.value}\n```" in page


def test_the_variables_in_the_guide_set_something() -> None:
    page = (ROOT / "docs/guides/configuration.md").read_text()
    given = dict(re.findall(r"`(SNOWSHED_[A-Z0-9_]+)=\'?([^`\'…]+)\'?`", page))
    assert len(given) >= 5
    replicas = [{"url": "http://127.0.0.1:1/v1"}]
    config = check({"models": [{"name": "m", "engine": "openai", "replicas": replicas}]}, "x", given)
    assert (config.server.port, config.models[0].max_tokens, len(config.models[0].replicas)) == (9000, 512, 2)

"""The documents keep up with the code: the settings, links, commands and codes they name exist, and all are named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from engines import ENGINES
from engines.credentials import SecretReference
from gateway import errors
from gateway.config import Config
from tests.architecture.tree import ROOT

GUIDES = ROOT / "docs" / "guides"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _settings(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_section(kind)]
        if inner:
            yield from _settings(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _written(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        inner = value[0] if isinstance(value, list) and value else value  # of models, the first one
        if isinstance(inner, dict):
            yield from _written(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "none" if value == [] else value


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in (BaseModel, SecretReference)


def test_every_setting_is_described_and_every_described_one_exists() -> None:
    page = (GUIDES / "configuration.md").read_text()
    sections = "|".join(Config.model_fields)
    described = set(re.findall(rf"^\| `((?:{sections})\.[a-z_.]+)`", page, re.MULTILINE))
    assert described == set(_settings(Config))


def test_the_described_defaults_are_those_that_hold() -> None:
    """As far as the reference has them: what is made of something else is described in words."""
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", (GUIDES / "configuration.md").read_text(), re.MULTILINE)
    described = {name: yaml.safe_load(cell.strip("`")) for name, cell in rows if cell not in {"required", "the name"}}
    reference = dict(_written(yaml.safe_load((ROOT / "docs" / "reference" / "config.yaml").read_text())))
    both = described.keys() & reference.keys()
    assert len(both) > 40
    assert {name: described[name] for name in both} == {name: reference[name] for name in both}


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_every_option_of_an_engine_is_described(engine: str) -> None:
    pages = (GUIDES / "configuration.md").read_text() + (GUIDES / "embedded.md").read_text()
    missing = [name for name in ENGINES[engine].Options.model_fields if not re.search(rf"\b{name}\b", pages)]
    assert not missing


def test_every_error_code_of_ours_that_an_operator_can_act_on_is_explained() -> None:
    page = (GUIDES / "operating.md").read_text()
    ours = {value.code for value in vars(errors).values() if isinstance(value, errors.Problem) if value.status >= 500}
    assert not {code for code in ours if f"`{code}`" not in page}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_the_readmes_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named
    assert named <= targets


def test_the_map_names_files_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paths = set(re.findall(r"`((?:gateway|engines|router|security|loadtests|tests|docs)/[A-Za-z_./]*)`", text))
    assert not [path for path in paths if not (ROOT / path).exists()]
    edge = set(re.findall(r"`([a-z_]+\.py)`", text.partition("### In `gateway/`")[2].partition("###")[0]))
    assert {path.name for path in (ROOT / "gateway").glob("*.py")} - edge <= {"__init__.py"}

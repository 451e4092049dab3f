"""Names: whose they are, what they mean, and what who may not have them learns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from router.api import NoSuchModel, NotPermitted
from router.catalog import Catalog, Snapshot
from router.model import Fallback
from tests.support.models import made_of


@dataclass
class Asker:
    """Who asks."""

    tenant: str = "us"
    models: frozenset[str] | None = None
    scopes: frozenset[str] = frozenset()


STEERING = frozenset({"routing"})
CATALOG = Catalog(
    Snapshot([made_of("chat", []), replace(made_of("secret", []), tenants=frozenset({"them"}))], {"gpt": "chat"})
)


@pytest.mark.parametrize("name", ["chat", "gpt"])
def test_a_model_is_found_by_each_of_its_names(name: str) -> None:
    assert CATALOG.find(name, Asker()).name == "chat"
    pinned = CATALOG.find(f"{name}@1", Asker(scopes=STEERING))
    assert (pinned.name, pinned.why, set(pinned.versions)) == ("chat", "pin", {"1"})


def test_who_asks_for_a_version_gets_no_other_model_s_answers() -> None:
    falls_back = replace(made_of("chat", []), fallback=Fallback(("other",), frozenset({"outage"})))
    catalog = Catalog(Snapshot([falls_back, made_of("other", [])]))
    assert catalog.find("chat", Asker()).fallback is falls_back.fallback
    assert catalog.find("chat@1", Asker(scopes=STEERING)).fallback is None


@pytest.mark.parametrize("name", ["chat@1", "chat@2", "gpt@1", "gpt@next", "chat@"])
def test_who_may_not_choose_versions_does_not_learn_which_there_are(name: str) -> None:
    with pytest.raises(NotPermitted):
        CATALOG.find(name, Asker())


@pytest.mark.parametrize("name", ["chat@2", "chat@", "chat@1@1", "@1", "", "other", "other@1", "chat:1"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    with pytest.raises(NoSuchModel):
        CATALOG.find(name, Asker(scopes=STEERING))


@pytest.mark.parametrize("scopes", [frozenset(), STEERING], ids=["may call", "may steer"])
@pytest.mark.parametrize("name", ["secret", "secret@1", "secret@2"])
def test_of_what_is_others_nothing_is_learnt(name: str, scopes: frozenset[str]) -> None:
    for asker in Asker(scopes=scopes), Asker("them", frozenset({"chat"}), scopes):
        with pytest.raises(NoSuchModel):
            CATALOG.find(name, asker)


def test_the_names_that_one_may_use_are_told_without_pins() -> None:
    assert [name for name, _ in CATALOG.visible(Asker())] == ["chat", "gpt"]
    assert [name for name, _ in CATALOG.visible(Asker("them"))] == ["chat", "secret", "gpt"]
    assert [name for name, _ in CATALOG.visible(Asker("them", frozenset({"secret"})))] == ["secret"]

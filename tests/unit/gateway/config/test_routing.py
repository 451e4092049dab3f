"""Versions and routes make sense together, or are refused with the place of each mistake."""

from __future__ import annotations

from time import thread_time
from typing import Any

import pytest

from gateway.config import Config, ConfigError, check
from gateway.config.coherence import mistakes
from gateway.config.showing import shown
from router.split import Rule

TAKEN = "that name, or it with an adapter, is taken by"


def version(name: str = "m", **members: Any) -> dict[str, Any]:
    return {"name": name, "engine": "scripted", **members}


def adapted(name: str, *adapters: str, **members: Any) -> dict[str, Any]:
    options = {"url": "127.0.0.1:1", "adapters": [{"name": it, "id": at} for at, it in enumerate(adapters, 1)]}
    return {"name": name, "engine": "triton", "replicas": [options], **members}


MODELS = [version(weight=95), version(version="2", weight=5), version("n"), version("o")]


def configured(*routing: dict[str, Any], models: list[dict[str, Any]] = MODELS) -> Config:
    return check({"models": models, "routing": list(routing)}, "x")


def complaints(*routing: dict[str, Any], models: list[dict[str, Any]] = MODELS) -> dict[str, str]:
    """What is wrong, by path."""
    with pytest.raises(ConfigError) as caught:
        configured(*routing, models=models)
    _, *lines = str(caught.value).splitlines()
    found = dict(line.strip().split(": ", 1) for line in lines)
    assert len(found) == len(lines)
    return found


WHOLE: dict[str, Any] = {
    "model": "m",
    "aliases": ["gpt-4o", "chat"],
    "tenants": ["acme", "umbrella"],
    "sticky": "user",
    "rules": [
        {"version": "2", "tenants": ["acme"]},
        {"version": "1", "keys": ["0123456789ab"], "header": {"name": "x-ring", "value": "late"}},
    ],
    "fallback": {"models": ["n", "o"], "when": ["outage"]},
    "shadow": {"version": "2", "share": 0.05},
    "hedge": {"after": "500ms"},
}


def test_all_that_can_be_said_of_a_route_is_taken() -> None:
    [route] = configured(WHOLE).routing
    assert (route.model, route.aliases, route.tenants, route.sticky) == (
        "m", ("gpt-4o", "chat"), ("acme", "umbrella"), "user",
    )  # fmt: skip
    assert route.split_rules == (
        Rule("2", tenants=frozenset({"acme"})),
        Rule("1", keys=frozenset({"0123456789ab"}), header=(b"x-ring", b"late")),
    )
    assert route.fallback
    assert (route.fallback.models, route.fallback.when) == (("n", "o"), ("outage",))
    assert route.shadow
    assert (route.shadow.version, route.shadow.share, route.shadow.concurrency) == ("2", 0.05, 4)
    assert route.hedge
    assert route.hedge.after == 0.5


def test_it_is_shown_as_it_was_given_and_loads_to_the_same() -> None:
    config = configured(WHOLE)
    assert shown(config, effective=False)["routing"] == [WHOLE]
    assert check(shown(config, effective=True), "shown") == config


def test_what_is_left_out_has_defaults() -> None:
    config = configured({"model": "m", "fallback": {"models": ["n"]}})
    assert config.routing[0].sticky == "key"
    assert config.routing[0].split_rules == ()
    assert config.routing[0].fallback
    assert config.routing[0].fallback.when == ("outage", "overload", "context_length")
    assert [(it.version, it.weight) for it in config.models] == [("1", 95), ("2", 5), ("1", 1), ("1", 1)]
    assert configured().routing == ()


def test_versions_and_their_replicas_can_be_told_apart() -> None:
    models = configured().models
    assert [it.label for it in models] == ["m@1", "m@2", "n@1", "o@1"]
    assert [it.home for it in models] == ["m", "m@2", "n", "o"]


def test_the_environment_shifts_weights_and_is_named_where_it_errs() -> None:
    tree = {"models": MODELS}
    assert check(tree, "x", {"SNOWSHED_MODELS__1__WEIGHT": "20"}).models[1].weight == 20
    with pytest.raises(ConfigError, match="SNOWSHED_MODELS__1__VERSION: this model has a version of that name already"):
        check(tree, "x", {"SNOWSHED_MODELS__1__VERSION": "1"})


@pytest.mark.parametrize(
    ("models", "path", "told"),
    [
        ([version(), version()], "models[1].version", "this model has a version of that name already"),
        ([version(weight=0)], "models[0].weight", "the weights of a model's versions must not sum to 0"),
        ([version("n"), version(weight=0), version(version="2", weight=0)], "models[1].weight", "the weights of"),
        ([version(weight=-1)], "models[0].weight", "must be at least 0"),
        ([version(weight=float("nan"))], "models[0].weight", "takes a number"),
        ([version(weight=float("inf"))], "models[0].weight", "takes a number"),
        ([version(weight=True)], "models[0].weight", "takes a number"),
        ([version(version=2)], "models[0].version", "takes text; put quotes around a number"),
        ([version(version="")], "models[0].version", "takes 1 to 128 printable ASCII characters"),
        ([version(version="a@b")], "models[0].version", "takes no @"),
        ([version(version="a:b")], "models[0].version", "takes no colon"),
        ([version("m@2")], "models[0].name", "takes no @"),
        ([adapted("m", "a"), adapted("m", "a", "b", version="2")], "models[1]",
         "versions of a model must list the same adapters, as models[0] does"),
        ([adapted("m", "a"), version("n"), version("m:a")], "models[2].name", f"{TAKEN} models[0]"),
    ],
    ids=range(14),
)  # fmt: skip
def test_versions_that_make_no_sense_are_refused(models: list[dict[str, Any]], path: str, told: str) -> None:
    found = complaints(models=models)
    assert list(found) == [path]
    assert found[path].startswith(told)


NO_SUCH_MODEL = "there is no such model"
NO_SUCH_VERSION = "the model has no such version"
OWN = "takes the name of a header of your own, in small letters after x-"
CIRCLE = "that model falls back to this one: a circle"


@pytest.mark.parametrize(
    ("routing", "path", "told"),
    [
        ([{}], "routing[0].model", "is required"),
        ([{"model": "x"}], "routing[0].model", NO_SUCH_MODEL),
        ([{"model": "m"}, {"model": "n"}, {"model": "m"}], "routing[2].model",
         "routing[0] is about that model already"),
        ([{"model": "m", "alias": ["c"]}], "routing[0].alias",
         "there is no such setting; did you mean routing[0].aliases?"),
        ([{"model": "m", "aliases": "chat"}], "routing[0].aliases", "takes a list"),
        ([{"model": "m", "aliases": ["c@1"]}], "routing[0].aliases[0]", "takes no @"),
        ([{"model": "m", "aliases": ["n"]}], "routing[0].aliases[0]", f"{TAKEN} models[2]"),
        ([{"model": "m", "aliases": ["m"]}], "routing[0].aliases[0]", f"{TAKEN} models[0]"),
        ([{"model": "m", "aliases": ["c", "c"]}], "routing[0].aliases[1]", f"{TAKEN} routing[0]"),
        ([{"model": "m", "aliases": ["c"]}, {"model": "n", "aliases": ["c"]}], "routing[1].aliases[0]",
         f"{TAKEN} routing[0]"),
        ([{"model": "m", "aliases": ["c"]}, {"model": "c", "aliases": ["d"]}], "routing[1].model", NO_SUCH_MODEL),
        ([{"model": "m", "sticky": "sesion"}], "routing[0].sticky",
         "must be one of key, tenant, user, session, none; did you mean session?"),
        ([{"model": "m", "rules": [{"version": "2"}]}], "routing[0].rules[0]", "takes tenants, keys or a header"),
        ([{"model": "m", "rules": [{"version": "22", "keys": ["k"]}]}], "routing[0].rules[0].version",
         f"{NO_SUCH_VERSION}; did you mean 2?"),
        ([{"model": "m", "rules": [{"version": "2", "keys": ["sk-snow-x"]}]}], "routing[0].rules[0].keys[0]",
         "takes the id of a key, never the key"),
        ([{"model": "m", "fallback": {"models": []}}], "routing[0].fallback.models",
         "takes a list with at least one entry"),
        ([{"model": "m", "fallback": {"models": ["n"], "when": []}}], "routing[0].fallback.when",
         "takes a list with at least one entry"),
        ([{"model": "m", "fallback": {"models": ["n"], "when": ["outrage"]}}], "routing[0].fallback.when[0]",
         "must be one of outage, overload, context_length; did you mean outage?"),
        ([{"model": "m", "fallback": {"models": ["n", "m"]}}], "routing[0].fallback.models[1]",
         "a model can't fall back to itself"),
        ([{"model": "m", "fallback": {"models": ["x"]}}], "routing[0].fallback.models[0]", NO_SUCH_MODEL),
        ([{"model": "m", "fallback": {"models": ["n"]}}, {"model": "n", "fallback": {"models": ["m"]}}],
         "routing[1].fallback.models[0]", CIRCLE),
        ([{"model": "o", "fallback": {"models": ["m"]}}, {"model": "m", "fallback": {"models": ["n"]}},
          {"model": "n", "fallback": {"models": ["o"]}}], "routing[2].fallback.models[0]", CIRCLE),
        ([{"model": "m", "shadow": {"version": "3", "share": 1}}], "routing[0].shadow.version", NO_SUCH_VERSION),
        ([{"model": "m", "shadow": {"version": "2"}}], "routing[0].shadow.share", "is required"),
        ([{"model": "m", "shadow": {"version": "2", "share": 5}}], "routing[0].shadow.share", "must be at most 1"),
        ([{"model": "m", "shadow": {"version": "2", "share": 1, "concurrency": 0}}], "routing[0].shadow.concurrency",
         "must be at least 1"),
        ([{"model": "m", "hedge": {"after": 0}}], "routing[0].hedge.after", "must be more than 0"),
    ],
    ids=range(27),
)  # fmt: skip
def test_routes_that_make_no_sense_are_refused(routing: list[dict[str, Any]], path: str, told: str) -> None:
    found = complaints(*routing)
    assert list(found) == [path]
    assert found[path].startswith(told)


def test_fallbacks_that_meet_again_are_no_circle() -> None:
    both = {"models": ["n", "o"]}
    assert configured({"model": "m", "fallback": both}, {"model": "n", "fallback": {"models": ["o"]}}).routing


@pytest.mark.parametrize(
    "name", ["beta", "X-Ring", "x-", "x-request-id", "x-session-id", "x-forwarded-for", "x-stainless-os", "x-a\r\nb"]
)
def test_a_rule_takes_a_header_of_the_operators_own(name: str) -> None:
    rule = {"version": "2", "header": {"name": name, "value": "late"}}
    found = complaints({"model": "m", "rules": [rule]})
    assert found["routing[0].rules[0].header.name"].startswith(OWN)


@pytest.mark.parametrize("value", ["", " a", "a ", "é", "a\r\nb", "a" * 257])
def test_a_rule_takes_a_value_that_a_header_can_have(value: str) -> None:
    rule = {"version": "2", "header": {"name": "x-ring", "value": value}}
    found = complaints({"model": "m", "rules": [rule]})
    assert found["routing[0].rules[0].header.value"].startswith("takes 1 to 256 printable ASCII characters")


def test_an_alias_counts_with_each_adapter() -> None:
    models = [adapted("m", "poet"), version("c:poet")]
    found = complaints({"model": "m", "aliases": ["c"]}, models=models)
    assert found == {"routing[0].aliases[0]": f"{TAKEN} models[1]"}


@pytest.mark.parametrize(
    ("engine", "options"),
    [("openai", {"url": "http://127.0.0.1:1/v1"}), ("triton", {"url": "127.0.0.1:1"})],
)
def test_a_server_is_a_replica_once(engine: str, options: dict[str, Any]) -> None:
    other = {**options, "connections": 2}
    models = [{"name": "m", "engine": engine, "replicas": [options, other, options]}]
    assert complaints(models=models) == {"models[0].replicas[2]": "is replicas[0] once more"}


def test_thousands_of_servers_are_told_apart_at_once() -> None:
    """On the loop, where they are an admin's; each compared with each took two seconds."""
    spec = configured(models=[version(engine="openai", replicas=[{"url": f"http://{n}/v1"} for n in range(2400)])])
    began = thread_time()
    assert list(mistakes(spec.models, ())) == []
    assert thread_time() - began < 1


def test_replicas_without_an_address_may_be_alike_and_versions_may_share_a_server() -> None:
    server = {"engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1"}]}
    alike = version(replicas=[{}, {}])
    assert len(configured(models=[alike, version("n", **server), version("n", version="2", **server)]).models) == 3


def test_mistakes_of_every_kind_are_told_at_once() -> None:
    models = [version(weight=0), version(version="2", weight=0), version("n"), version("n")]
    routing: list[dict[str, Any]] = [
        {"model": "m", "aliases": ["n"], "rules": [{"version": "3", "tenants": ["t"]}]},
        {"model": "x", "fallback": {"models": ["y"]}},
    ]
    assert set(complaints(*routing, models=models)) == {
        "models[0].weight", "models[3].version", "routing[0].aliases[0]", "routing[0].rules[0].version",
        "routing[1].model", "routing[1].fallback.models[0]",
    }  # fmt: skip

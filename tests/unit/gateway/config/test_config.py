"""A configuration is refused as a whole: every mistake with its path, and no value, because it may be a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines import ENGINES
from gateway.config import ConfigError, check, check_exposure, load

SECRET = "sk-canary-9f3b"
URL = "http://127.0.0.1:1/v1"


def model(**members: Any) -> dict[str, Any]:
    return {"name": "m", "engine": "openai", "replicas": [{"url": URL}], **members}


def complaints(tree: Any) -> dict[str, str]:
    """What is wrong, by path."""
    with pytest.raises(ConfigError) as caught:
        check(tree, "gateway.yaml")
    assert SECRET not in str(caught.value)
    head, *lines = str(caught.value).splitlines()
    assert head == "gateway.yaml:"
    found = dict(line.strip().split(": ", 1) for line in lines)
    assert len(found) == len(lines)
    return found


def test_every_mistake_is_told_at_once_with_its_path() -> None:
    found = complaints({
        "server": {"port": 70_000, "hots": SECRET},
        "limits": {"body": SECRET},
        "timeouts": {"connect": 0},
        "surprise": SECRET,
        "models": [
            model(
                name=f"a b {SECRET}",
                cap_field=SECRET,
                policy=SECRET,
                replicas=[{"url": URL}, {"url": SECRET, "api_key": SECRET}, {}, {"url": URL, "surprise": SECRET}, 5],
            ),
            {"name": "n", "engine": SECRET, "replicas": [{"anything": SECRET}]},
            {"engine": "scripted", "replicas": []},
            5,
        ],
    })  # fmt: skip
    assert set(found) == {
        "server.port", "server.hots", "limits.body", "timeouts.connect", "surprise",
        "models[0].name", "models[0].cap_field", "models[0].policy", "models[0].replicas[1].url",
        "models[0].replicas[1].api_key", "models[0].replicas[2].url", "models[0].replicas[3].surprise",
        "models[0].replicas[4]", "models[1].engine", "models[2].name", "models[2].replicas", "models[3]",
    }  # fmt: skip
    assert found["models[1].engine"] == f"must be one of {', '.join(sorted(ENGINES))}"


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        (None, "models"),
        ({}, "models"),
        ({"models": []}, "models"),
        ([], "(top level)"),
        ("text", "(top level)"),
        ({"models": [model(), model()]}, "models[1].version"),
        ({"models": [model()], "server": {"port": 9}, "ops": {"port": 9}}, "(top level)"),
        ({"models": [model(engine="scripted", replicas=[{"text": ""}])]}, "models[0].replicas[0].text"),
        ({"models": [model(engine="embedded", replicas=[{"slots": 0}])]}, "models[0].replicas[0].slots"),
        ({"models": [model(upstream="\ud800")]}, "models[0].upstream"),
    ],
)  # fmt: skip
def test_one_mistake_is_told_with_its_path(tree: Any, path: str) -> None:
    assert list(complaints(tree)) == [path]


@pytest.mark.parametrize(
    "url",
    [
        "", "host", "ftp://host/v1", "http://", "http:///v1", "http://host:port/v1", "http://host:70000/v1",
        "http://host:0/v1", f"http://user:{SECRET}@host/v1", f"http://host/v1?key={SECRET}", "http://host/v1#a",
        "http://ho st/v1", "http://host/\nv1", "http://hößt/v1", f"http://{'a' * 70}.example/v1", "http://a..b/v1",
        "http://[::1/v1", 5, None, ["http://host/v1"],
    ],
)  # fmt: skip
def test_a_url_that_could_not_be_called_is_a_mistake_of_the_configuration(url: Any) -> None:
    assert list(complaints({"models": [model(replicas=[{"url": url}])]})) == ["models[0].replicas[0].url"]


@pytest.mark.parametrize("key", [{}, {"env": "A", "file": "b"}, SECRET, {"value": SECRET}, {"env": 5}])
def test_p32_a_credential_is_only_taken_by_reference(key: Any) -> None:
    """P32: one that was written down in place is refused without being repeated."""
    found = complaints({"models": [model(replicas=[{"url": URL, "api_key": key}])]})
    assert all(path.startswith("models[0].replicas[0].api_key") for path in found)


@pytest.mark.parametrize(
    ("tree", "path", "words"),
    [
        ({"models": [model()], "sever": {}}, "sever", "there is no such setting; did you mean server?"),
        ({"models": [model(replicas=[{}])]}, "models[0].replicas[0].url", "is required"),
        ({"models": [model(replicas=[URL])]}, "models[0].replicas[0]", "takes settings by name, as in {name: value}"),
        (
            {"models": [model(replicas=[{"url": URL, "api_key": "sk-canary"}])]}, "models[0].replicas[0].api_key",
            "takes {env: NAME} or {file: PATH}, where it is; never the secret itself",
        ),
        ([], "(top level)", "takes settings by name, as in {name: value}"),
        ({"models": {"chat": model()}}, "models", "takes a list, as in [one, other]"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_the_words_of_the_file(tree: Any, path: str, words: str) -> None:
    assert complaints(tree) == {path: words}


def test_replicas_may_be_left_out_where_an_engine_needs_no_options() -> None:
    config = check({"models": [{"name": "m", "engine": "scripted"}]}, "test")
    assert len(config.models[0].replicas) == 1
    assert load(None).models[0].engine == "embedded"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"models: [\n  key: {SECRET}: }}".encode(), "gateway.yaml:2:"),
        (f"models: !!python/object:os.system {SECRET}".encode(), "YAML"),
        (b"\xff\xfe\xff", "UTF-8"),
        (b"models: \x00", "YAML"),
        (b"models: []\nserver:\n  port: 1\n  'port': 2\n", "gateway.yaml:4:3: not readable as YAML: port is given"),
        (b"models: []\nmodels: []\n", "gateway.yaml:2:1: not readable as YAML: models is given twice"),
        (b"", "models"),
        (None, "No such file"),
    ],
)  # fmt: skip
def test_a_file_that_can_not_be_read_is_told_without_its_content(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "gateway.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_setting_may_be_taken_over_and_changed(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("models:\n- &one {name: one, engine: scripted, max_tokens: 7}\n- {<<: *one, name: two}\n")
    assert [(each.name, each.max_tokens) for each in load(path).models] == [("one", 7), ("two", 7)]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example", ""])
def test_a_bind_beyond_loopback_needs_to_be_meant(host: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.host: .*server\.open: true"):
        check_exposure(check({"models": [model()], "server": {"host": host}}, "test"))
    check_exposure(check({"models": [model()], "server": {"host": host, "open": True}}, "test"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_bind_to_loopback_is_always_fine(host: str) -> None:
    check_exposure(check({"models": [model()], "server": {"host": host}}, "test"))


def adapted(*replicas: tuple[str, ...], name: str = "m", **members: Any) -> dict[str, Any]:
    """A model on replicas that have the adapters of these names."""
    each = [
        {"url": "127.0.0.1:1", "model": "m", "adapters": [{"name": it, "id": at} for at, it in enumerate(names, 1)]}
        for names in replicas
    ]
    return {"name": name, "engine": "triton", "replicas": each, **members}


def test_adapters_are_models_of_their_own() -> None:
    config = check({"models": [adapted(("poet", "clerk"), ("clerk", "poet")), model(name="n")]}, "x")
    assert [it.names for it in config.models] == [("m", "m:poet", "m:clerk"), ("n",)]


@pytest.mark.parametrize(
    ("models", "path", "told"),
    [
        ([adapted(("poet",), ())], "models[0]", "replicas must list the same adapters"),
        ([adapted(("poet",)), model(name="m:poet")], "models[1].name", "that name, or it with an adapter, is taken by"),
        ([model(name="m:poet"), adapted(("poet",))], "models[1].name", "that name, or it with an adapter, is taken by"),
        ([adapted(("poet@2",))], "models[0]", "an adapter's name takes no @"),
        ([adapted(("poet",), upstream="x:poet")], "models[0]", "a model can't be called like one of its adapters"),
        ([adapted(("a", "a"))], "models[0].replicas[0]", "each of the adapters needs a name and an id of its own"),
        ([adapted(("a:b",))], "models[0].replicas[0].adapters[0].name", "String should match pattern"),
    ],
    ids=range(7),
)
def test_adapters_that_can_t_be_meant_are_refused(models: list[dict[str, Any]], path: str, told: str) -> None:
    assert complaints({"models": models})[path].startswith(told)


@pytest.mark.parametrize(
    ("server", "ops"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("192.0.2.1", ""),
        ("::", "::1"),
        ("127.0.0.1", "localhost"),
    ],
)
def test_two_listeners_that_would_meet_at_a_port_are_refused(server: str, ops: str) -> None:
    tree = {"models": [model()], "server": {"host": server, "port": 9}, "ops": {"host": ops, "port": 9}}
    assert complaints(tree) == {"(top level)": "server.port and ops.port must differ"}
    free = {"server": {"host": server, "port": 0}, "ops": {"host": ops, "port": 0}}
    check(tree | free, "x")


def test_one_port_at_two_addresses_is_fine() -> None:
    check({"models": [model()], "server": {"host": "192.0.2.1", "port": 9}, "ops": {"port": 9}}, "x")


@pytest.mark.parametrize("host", ["a\0b", "a..b", "x" * 64, "a\nb", " ", "ho st"])
def test_what_can_be_no_host_is_refused_before_it_is_looked_up(host: str) -> None:
    for section in ("server", "ops"):
        with pytest.raises(ConfigError, match=f"{section}.host: takes an address or a host's name"):
            check({"models": [model()], section: {"host": host}}, "x")


@pytest.mark.parametrize(
    "host", ["", "::", "::1", "fe80::1%eth0", "0.0.0.0", "localhost", "gw-1.example.org", "bücher.de"]
)
def test_hosts_are_taken_as_they_are(host: str) -> None:
    assert check({"models": [model()], "server": {"host": host}}, "x").server.host == host

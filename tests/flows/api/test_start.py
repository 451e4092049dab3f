"""What the process says and does when it can't start: one clear sentence, an exit status, nothing left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import plain
from tests.support.gateway import ROOT, configuration, spawned_gateway
from tests.support.waiting import PATIENCE
from tests.support.written import whole_lines, written

SECRET = "sk-canary-9f3b"


def serve(folder: Path, tree: Any, command: str = "serve", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to its end, which must come by itself."""
    file = folder / "gateway.yaml"
    file.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return subprocess.run(
        [sys.executable, "-m", "gateway", *command.split(), "--config", str(file)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def sentence(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why the gateway did not start."""
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert "try it" not in ended.stderr.lower()
    found = [line for line in ended.stderr.splitlines() if "did not start" in line]
    assert len(found) == 1, ended.stderr
    return found[0]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"models": [{"name": "m", "engine": SECRET}], "sever": {}}, ["models[0].engine: must be one of", "sever: "]),
        (f"models: [{SECRET}: }}", ["not readable as YAML"]),
        ({"models": [{"name": "m", "engine": "scripted"}], "server": {"host": "0.0.0.0"}}, ["server.open: true"]),
        (
            {"models": [{"name": "m", "engine": "openai", "replicas": [
                {"url": "http://127.0.0.1:1/v1", "api_key": {"env": "NO_SUCH_VARIABLE"}}]}]},
            ["environment variable NO_SUCH_VARIABLE is not set"],
        ),
    ],
    ids=["mistakes", "no YAML", "exposed", "no secret"],
)  # fmt: skip
def test_a_bad_configuration_ends_with_status_2_before_anything_starts(
    tmp_path: Path, tree: Any, words: list[str]
) -> None:
    ended = serve(tmp_path, tree)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert all(word in ended.stderr for word in words), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "starting" not in ended.stderr
    assert SECRET not in ended.stderr


def test_everything_that_it_refers_to_and_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    file = str(tmp_path / "absent")
    triton = {"url": "127.0.0.1:1", "tokenizer": file}
    remote = {"url": "http://127.0.0.1:1/v1", "api_key": {"file": file}}
    models = [{"name": "a", "engine": "embedded", "replicas": [{"model_path": file}]},
              {"name": "b", "engine": "triton", "replicas": [triton]},
              {"name": "c", "engine": "openai", "replicas": [remote]}]  # fmt: skip
    ended = serve(tmp_path, configuration(models=models))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert [line.split(": ", 1)[0].strip() for line in ended.stderr.splitlines()] == [
        "what the configuration refers to:", "models[0].replicas[0].model_path", "models[1].replicas[0].tokenizer",
        "models[2].replicas[0].api_key",
    ]  # fmt: skip


def test_the_environment_is_part_of_what_is_checked(tmp_path: Path) -> None:
    ended = serve(tmp_path, configuration(), SNOWSHED_SERVER_PORT="1", SNOWSHED_MODELS__0__NAEM="x")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("did you mean") == 2


def test_a_configuration_that_is_not_there_ends_with_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(tmp_path / "absent.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == f"{tmp_path / 'absent.yaml'}: No such file or directory\n"


@pytest.mark.parametrize("section", ["server", "ops"])
def test_a_port_in_use_is_told_in_one_sentence(tmp_path: Path, section: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        tree = configuration()
        tree[section]["port"] = port
        said = sentence(serve(tmp_path, tree))
    assert json.loads(said)["event"] == "gateway did not start"
    assert f"'127.0.0.1', {port}" in said
    assert "address already in use" in said.lower()


def test_a_port_that_is_taken_keeps_the_engines_from_starting(tmp_path: Path) -> None:
    """A model takes seconds to load: the port is tried first, so that nothing has to be stopped again."""
    model = {"name": "m", "engine": "embedded", "replicas": [_no_model(tmp_path)]}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        tree = configuration(models=[model], server={"port": taken.getsockname()[1]})
        assert "in use" in sentence(serve(tmp_path, tree))


def _no_model(folder: Path) -> dict[str, str]:
    file = folder / "other.gguf"
    file.write_bytes(b"GGUF and nothing more")
    return {"model_path": str(file)}


def _not_fetched(_folder: Path) -> dict[str, str]:
    return {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (_no_model, "embedded model did not start"),
        (_not_fetched, "`python -m gateway model pull`"),
    ],
)
def test_an_engine_that_can_not_start_is_told_in_one_sentence(
    tmp_path: Path, options: Callable[[Path], dict[str, str]], words: str
) -> None:
    models = [{"name": "m", "engine": "embedded", "replicas": [options(tmp_path)]}]
    nowhere = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    assert words in sentence(serve(tmp_path, configuration(models=models), **nowhere))


def test_of_several_models_the_one_that_can_not_start_is_named(tmp_path: Path) -> None:
    replicas = [{"url": "127.0.0.1:1"}, {"url": "127.0.0.1:1", "tokenizer": str(tmp_path)}]
    models = [{"name": "plain", "engine": "triton", "replicas": replicas[:1]},
              {"name": "chatty", "engine": "triton", "replicas": replicas}]  # fmt: skip
    said = sentence(serve(tmp_path, configuration(models=models)))
    assert "Replica chatty-1: The tokenizer" in said
    assert str(tmp_path) in said


@pytest.mark.parametrize("is_open", [False, True])
def test_it_says_at_the_start_where_it_is_and_who_may_use_it(tmp_path: Path, is_open: bool) -> None:
    tree = configuration(server={"open": is_open})
    with spawned_gateway(tree, tmp_path, options=["--log-format", "console"]) as gateway:
        gateway.terminate()
        assert gateway.wait(PATIENCE) == 0
        said = gateway.errors.read_text()
    assert f"serves {gateway.url}; probes and metrics: {gateway.ops_url}." in said
    assert ("anybody who can reach it" in said) is is_open
    assert ("this machine only" in said) is not is_open
    assert f"curl {gateway.url}/v1/chat/completions" in said


def test_a_whole_life_is_a_json_line_per_event_where_no_terminal_is(tmp_path: Path) -> None:
    with spawned_gateway(configuration(), tmp_path) as gateway:
        asked = {"model": "mock", "messages": [{"role": "user", "content": SECRET}]}
        assert plain.post(f"{gateway.url}/v1/chat/completions", json=asked).status_code == 200
        gateway.terminate()
        assert gateway.wait(PATIENCE) == 0
        events = written(gateway.errors)
        (record,) = written(gateway.log)
    said = [event["event"] for event in events]
    assert sorted(said) == ["draining", "replica ready", "serving", "starting", "stopped"]
    assert (said[0], said[-2:], record["event"]) == ("starting", ["draining", "stopped"], "request")
    assert all(event["time"] and event["logger"] == "snowshed" and event["level"] == "info" for event in events)
    (serving,) = [event for event in events if event["event"] == "serving"]
    assert f"http://{serving['host']}:{serving['port']}" == gateway.url
    assert SECRET not in json.dumps([*events, record])


def test_at_a_higher_level_a_good_life_is_silent_but_for_its_requests(tmp_path: Path) -> None:
    with spawned_gateway(configuration(), tmp_path, options=["--log-level", "warning"]) as gateway:
        plain.get(f"{gateway.url}/v1/models").raise_for_status()
        plain.post(f"{gateway.url}/v1/chat/completions", json={})
        gateway.terminate()
        assert gateway.wait(PATIENCE) == 0
        assert written(gateway.errors) == []
        assert len(whole_lines(gateway.log)) == 1


def test_the_configuration_says_how_to_log_and_options_go_over_it(tmp_path: Path) -> None:
    tree = configuration(logs={"format": "console", "level": "warning"})
    for options, form in (([], "console"), (["--log-format", "json", "--log-level", "INFO"], "json")):
        with spawned_gateway(tree, tmp_path, options=options) as gateway:
            plain.post(f"{gateway.url}/v1/chat/completions", json={})
            gateway.terminate()
            assert gateway.wait(PATIENCE) == 0
            (line,) = whole_lines(gateway.log)
            said = gateway.errors.read_text()
        assert line.startswith("{") is (form == "json")
        assert ("serving" in said) is (form == "json")


def test_nothing_is_fetched_for_a_configuration_that_does_not_serve_the_embedded_model(tmp_path: Path) -> None:
    own_file = {"name": "mine", "engine": "embedded", "replicas": [{"model_path": str(tmp_path / "mine.gguf")}]}
    cache = tmp_path / "cache"
    ended = serve(tmp_path, configuration(models=[own_file]), "model pull", SNOWSHED_CACHE=str(cache))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not cache.exists()


def test_a_mistake_in_the_configuration_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    ended = serve(tmp_path, {"models": []}, "model pull", SNOWSHED_CACHE=str(cache))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "models: " in ended.stderr
    assert not cache.exists()

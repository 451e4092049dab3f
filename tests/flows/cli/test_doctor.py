"""`snowshed doctor`: what is wrong is found before the gateway is started, and beside one that runs."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtests.bench.processes import free_ports
from tests.support.admin import admin_port
from tests.support.command_line import complaint, on_terminal, snowshed
from tests.support.databases import PostgresServer
from tests.support.gateway import ROOT, configuration, running_gateway
from tests.support.issuer import token_issuer
from tests.support.stored import KeyBook


def doctor(
    folder: Path, tree: dict[str, Any], *arguments: str, cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(tree))
    return snowshed("doctor", "--config", str(file), *arguments, SNOWSHED_CACHE=str(cache or folder))


def findings(folder: Path, tree: dict[str, Any], cache: Path | None = None) -> dict[str, dict[str, str]]:
    """By subject. The exit status says whether one of them is wrong."""
    ended = doctor(folder, tree, "--json", cache=cache)
    assert ended.stderr == ""
    told = json.loads(ended.stdout)
    wrong = [one for one in told["findings"] if one["level"] == "wrong"]
    assert (ended.returncode, told["ok"]) == ((1, False) if wrong else (0, True))
    assert all(one["todo"] for one in told["findings"] if one["level"] != "ok")
    return {one.pop("subject"): one for one in told["findings"]}


def embedded(**options: str) -> dict[str, Any]:
    return configuration(models=[{"name": "m", "engine": "embedded", "replicas": [options]}])


def test_where_all_is_well_each_line_says_so_and_the_status_is_0(tmp_path: Path) -> None:
    port, ops_port = free_ports(2)
    tree = configuration(server={"port": port}, ops={"port": ops_port})
    ended = doctor(tmp_path, tree)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"ok     server.port: 127.0.0.1:{port} is free\n" in ended.stdout
    assert f"ok     ops.port: 127.0.0.1:{ops_port} is free\n" in ended.stdout
    assert "ok     replica mock-0: scripted; ready\n" in ended.stdout
    assert "\x1b" not in ended.stdout
    found = findings(tmp_path, tree)
    assert list(found) == ["python", "clock", "open files", "server.port", "ops.port", "replica mock-0"]


def test_colours_are_for_terminals_and_for_those_who_want_them(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(configuration()))
    assert "\x1b[32mok" in on_terminal("doctor", "--config", str(file))
    assert "\x1b" not in on_terminal("doctor", "--config", str(file), NO_COLOR="1")


@pytest.mark.parametrize("section", ["server", "ops"])
def test_a_port_that_another_program_has_is_wrong(tmp_path: Path, section: str) -> None:
    with socket.socket() as taken:  # it answers nobody
        taken.bind(("127.0.0.1", 0))
        tree = configuration()
        tree[section]["port"] = taken.getsockname()[1]
        found = findings(tmp_path, tree)[f"{section}.port"]
    assert found["level"] == "wrong"
    assert "taken by another program" in found["what"]


def test_a_program_whose_answer_does_not_end_is_not_heard_to_its_end(tmp_path: Path) -> None:
    def talk(listener: socket.socket) -> None:
        with listener.accept()[0] as connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        talking = threading.Thread(target=talk, args=(listener,))
        talking.start()
        found = findings(tmp_path, configuration(server={"port": listener.getsockname()[1]}))["server.port"]
        talking.join()
    assert "taken by another program" in found["what"]


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machines_is_wrong(tmp_path: Path, host: str) -> None:
    found = findings(tmp_path, configuration(ops={"host": host, "port": 9}))["ops.port"]
    assert found["level"] == "wrong"
    assert "ops.host" in found["todo"]


def test_a_gateway_that_runs_is_told_from_other_programs(tmp_path: Path) -> None:
    with running_gateway(configuration()) as gateway:
        tree = configuration(server={"port": gateway.port}, ops={"port": gateway.objects.ops.port})
        gateway.wait_until(lambda: not gateway.objects.readiness.reasons())
        found = findings(tmp_path, tree)
    assert "served by a running Snowshed" in found["server.port"]["what"]
    assert "served by a running Snowshed" in found["ops.port"]["what"]
    assert found["readiness"] == {"level": "ok", "what": "the running gateway is ready", "todo": ""}


TLS = dict.fromkeys(("certificate", "key", "clients"), str(ROOT / "tests/support/localhost.pem"))


@pytest.mark.parametrize("tls", [None, TLS], ids=["http", "tls"])
def test_the_admin_listeners_port_is_looked_at_where_there_may_be_one(tmp_path: Path, tls: Any) -> None:
    (port,) = free_ports(1)
    keys: dict[str, Any] = {
        "auth": {"kind": "keys", "sqlite": str(tmp_path / "keys.db")},
        "admin": {"port": port, "tls": tls},
    }
    assert findings(tmp_path, configuration(**keys))["admin.port"]["what"] == f"127.0.0.1:{port} is free"
    assert "admin.port" not in findings(tmp_path, configuration(admin={"port": port}))
    with socket.create_server(("127.0.0.1", port)):
        found = findings(tmp_path, configuration(**keys))["admin.port"]
    assert (found["level"], found["todo"]) == ("wrong", "stop that, or choose another admin.port")


@pytest.mark.parametrize("tls", [None, TLS], ids=["http", "tls"])
def test_the_admin_listener_of_a_running_gateway_is_known(tmp_path: Path, tls: Any) -> None:
    """One that asks for certificates answers nobody without: the gateway beside it tells whose it is."""
    book = KeyBook(f"sqlite:///{tmp_path / 'keys.db'}")
    book.tenant()
    book.key(scopes=["viewer"])
    keys = {"kind": "keys", "sqlite": str(tmp_path / "keys.db")}
    with running_gateway(configuration(auth=keys, admin={"port": 0})) as gateway:
        port, ops = admin_port(gateway), {"port": gateway.objects.ops.port}
        tree = configuration(auth=keys, ops=ops, admin={"port": port, "tls": tls})
        assert "served by a running Snowshed" in findings(tmp_path, tree)["admin.port"]["what"]


def test_a_running_gateway_that_is_not_ready_is_wrong_and_its_model_is_not_loaded_again(tmp_path: Path) -> None:
    with running_gateway(configuration(["http://127.0.0.1:1"])) as gateway:
        ports = {"ops": {"port": gateway.objects.ops.port}}
        gateway.wait_until(lambda: "not probed yet" not in str(gateway.objects.readiness.reasons()))
        found = findings(tmp_path, embedded(model_path=str(tmp_path / "absent.gguf")) | ports)
    assert found["readiness"]["level"] == "wrong"
    assert "can't be reached" in found["readiness"]["what"]
    assert "not loaded again" in found["replica m-0"]["what"]


def test_what_a_running_gateway_warns_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ready all the same."""
    (port,) = free_ports(1)
    monkeypatch.setenv("LIMITS_URL", f"redis://127.0.0.1:{port}")
    with running_gateway(configuration(quotas={"store": {"env": "LIMITS_URL"}})) as gateway:
        gateway.wait_until(lambda: bool(gateway.objects.limiter.trouble) and not gateway.objects.readiness.reasons())
        tree = configuration(ops={"port": gateway.objects.ops.port})
        found = findings(tmp_path, tree)["warning"]
        assert found["what"] == f"the running gateway warns: {gateway.objects.limiter.trouble}"
    assert found["level"] == "note"


def test_a_model_server_that_does_not_answer_is_wrong_beside_one_that_does(tmp_path: Path) -> None:
    models = [{"name": "gone", "engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1"}]},
              {"name": "here", "engine": "scripted"}]  # fmt: skip
    found = findings(tmp_path, configuration(models=models))
    assert found["replica gone-0"]["level"] == "wrong"
    assert "can't be reached" in found["replica gone-0"]["what"]
    assert found["replica here-0"]["level"] == "ok"


def test_a_model_that_was_not_fetched_or_is_damaged_is_wrong(tmp_path: Path) -> None:
    absent = findings(tmp_path, embedded())
    assert absent["model file"]["todo"] == "fetch it: snowshed model pull"
    assert absent["replica m-0"]["level"] == "wrong"
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF, but another")
    damaged = findings(tmp_path, embedded())
    assert "not the file it should be" in damaged["model file"]["what"]


def test_a_folder_that_may_not_be_looked_into_is_told_by_its_name(tmp_path: Path) -> None:
    """As one of another user is; a name that is too long stands for it, for the tests may run as root."""
    folder = tmp_path / ("x" * 300)
    found = findings(tmp_path, embedded(), folder)
    assert found["model file"]["what"] == f"{folder} can't be used: File name too long"
    assert found["replica m-0"]["level"] == "wrong"
    said = complaint(snowshed("model", "pull", SNOWSHED_CACHE=str(folder)), 1)
    assert said == f"The cache folder {folder} cannot be used: File name too long."


def test_a_file_of_ones_own_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    assert "No such file" in findings(tmp_path, embedded(model_path=str(file)))["model file"]["what"]
    odd = findings(tmp_path, embedded(model_path="x" * 300))
    assert "File name too long" in odd["model file"]["what"]
    assert odd["replica m-0"]["level"] == "wrong"
    file.write_bytes(b"MZ")
    assert "no GGUF file" in findings(tmp_path, embedded(model_path=str(file)))["model file"]["what"]
    file.write_bytes(b"GGUF and nothing more")
    found = findings(tmp_path, embedded(model_path=str(file)))
    assert found["model file"]["level"] == "ok"
    assert "embedded model did not start" in found["replica m-0"]["what"]


def test_a_mistake_in_the_configuration_ends_with_status_2(tmp_path: Path) -> None:
    ended = doctor(tmp_path, {"models": []})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "models: " in ended.stderr
    secret = {"url": "http://127.0.0.1:1/v1", "api_key": {"env": "NO_SUCH_VARIABLE"}}
    ended = doctor(tmp_path, configuration(models=[{"name": "m", "engine": "openai", "replicas": [secret]}]))
    assert ended.returncode == 2
    assert "NO_SUCH_VARIABLE is not set" in ended.stderr


def keys_of(folder: Path, **place: Any) -> dict[str, str]:
    return findings(folder, configuration(auth={"kind": "keys", **place}))["keys"]


def test_the_database_of_keys_is_looked_at_and_a_file_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "keys.db"
    assert "will be made" in keys_of(tmp_path, sqlite=str(file))["what"]
    assert not file.exists()
    book = KeyBook(f"sqlite:///{file}")
    assert "nobody will be let in" in keys_of(tmp_path, sqlite=str(file))["what"]
    book.tenant()
    book.revoke(book.key())
    assert "nobody will be let in" in keys_of(tmp_path, sqlite=str(file))["what"]
    book.key()
    assert keys_of(tmp_path, sqlite=str(file))["level"] == "ok"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "newer version" in keys_of(tmp_path, sqlite=str(file))["what"]
    file.write_text("no database, but a letter of some length" * 100)
    assert keys_of(tmp_path, sqlite=str(file))["level"] == "wrong"
    assert keys_of(tmp_path, sqlite=str(tmp_path / "absent" / "keys.db"))["level"] == "wrong"


def test_a_database_without_tables_is_wrong_until_they_are_made(tmp_path: Path, postgres: PostgresServer) -> None:
    place = tmp_path / "url"
    url = postgres.database()
    place.write_text(url)
    found = keys_of(tmp_path, database={"file": str(place)})
    assert (found["level"], found["todo"]) == ("wrong", "run: snowshed migrate")
    KeyBook(url)
    assert keys_of(tmp_path, database={"file": str(place)})["level"] == "note"
    place.write_text("postgresql://me:canary-77ab@127.0.0.1:1/keys")
    away = keys_of(tmp_path, database={"file": str(place)})
    assert (away["level"], "canary" in str(away)) == ("wrong", False)


def test_the_issuer_of_tokens_is_asked_for_its_keys(tmp_path: Path) -> None:
    with token_issuer() as issuer:
        tree = configuration(auth={"kind": "jwt", "jwt": issuer.options()})
        found = findings(tmp_path, tree)["tokens"]
        assert (found["level"], found["what"].split()[0]) == ("ok", issuer.url)
        issuer.keys.clear()
        found = findings(tmp_path, tree)["tokens"]
    assert found["level"] == "wrong"
    assert "it publishes no key for the algorithms" in found["what"]

"""`snowshed config`: checked, shown and described without starting anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command_line import snowshed
from tests.support.gateway import configuration

SECRET = "canary-1f0c"


def file(folder: Path, tree: Any) -> str:
    path = folder / "gateway.yaml"
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return str(path)


def test_a_good_configuration_has_no_mistakes(tmp_path: Path) -> None:
    path = file(tmp_path, configuration())
    ended = snowshed("config", "check", "--config", path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{path}: no mistakes\n", "")
    assert json.loads(snowshed("config", "check", "--json", "--config", path).stdout) == {"ok": True, "mistakes": []}


def with_secret(where: dict[str, str]) -> dict[str, Any]:
    replica = {"url": "http://127.0.0.1:1/v1", "api_key": where}
    return configuration(models=[{"name": "m", "engine": "openai", "replicas": [replica]}])


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"sever": {}, "models": [{"name": "m", "engine": SECRET}]}, ["sever", "models[0].engine"]),
        ("a: [", ["not readable as YAML"]),
        (configuration(server={"host": "0.0.0.0"}), ["server.host"]),
        (with_secret({"env": "NO_SUCH_VARIABLE"}), ["models[0].replicas[0].api_key", "NO_SUCH_VARIABLE"]),
    ],
    ids=["mistakes", "no YAML", "exposed", "no secret"],
)
def test_every_mistake_is_told_and_the_status_is_2(tmp_path: Path, tree: Any, words: list[str]) -> None:
    path = file(tmp_path, tree)
    ended = snowshed("config", "check", "--config", path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert all(word in ended.stderr for word in words), ended.stderr
    assert SECRET not in ended.stderr
    told = snowshed("config", "check", "--json", "--config", path)
    assert (told.returncode, told.stderr) == (2, "")
    assert json.loads(told.stdout) == {"ok": False, "mistakes": ended.stderr.splitlines()}


def test_a_price_of_a_model_that_is_misspelt_is_a_mistake(tmp_path: Path) -> None:
    """Of a start it is none: the price may be one of a model that is no more."""
    tree = configuration(ledger={"prices": [{"model": "mokc", "input": 1, "output": 1}]})
    ended = snowshed("config", "check", "--config", file(tmp_path, tree))
    assert ended.returncode == 2
    assert "ledger.prices[0].model: there is no model of that name; did you mean mock?" in ended.stderr


def test_a_store_of_limits_that_is_no_url_is_a_mistake(tmp_path: Path) -> None:
    path = file(tmp_path, configuration(quotas={"store": {"env": "LIMITS_URL"}}))
    ended = snowshed("config", "check", "--config", path, LIMITS_URL=f"redis+sentinel://:{SECRET}@{SECRET}")
    assert ended.returncode == 2
    assert "quotas.store: names no master behind its Sentinels" in ended.stderr
    assert SECRET not in ended.stderr
    ended = snowshed("config", "check", "--config", path, LIMITS_URL=f"redis+sentinel://:{SECRET}@{SECRET}/limits")
    assert ended.returncode == 0


def test_what_is_shown_is_what_file_and_environment_say_and_can_be_read_again(tmp_path: Path) -> None:
    path = file(tmp_path, configuration(server={"port": 1234}))
    shown = snowshed("config", "show", "--config", path, SNOWSHED_OPS__PORT="4321")
    assert shown.returncode == 0
    tree = yaml.safe_load(shown.stdout)
    assert (tree["server"]["port"], tree["ops"]["port"], "timeouts" in tree) == (1234, 4321, False)
    assert snowshed("config", "check", "--config", file(tmp_path, shown.stdout)).returncode == 0


def test_the_effective_configuration_has_every_setting_but_no_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    path = file(tmp_path, with_secret({"file": str(secret)}))
    ended = snowshed("config", "show", "--effective", "--json", "--config", path)
    assert ended.returncode == 0
    assert {"server", "ops", "limits", "timeouts", "models"} <= json.loads(ended.stdout).keys()
    assert SECRET not in ended.stdout
    again = snowshed("config", "show", "--effective", "--config", path)
    assert yaml.safe_load(again.stdout) == json.loads(ended.stdout)


def test_the_schema_describes_every_section() -> None:
    schema = json.loads(snowshed("config", "schema").stdout)
    assert {"server", "ops", "limits", "timeouts", "models"} <= schema["properties"].keys()

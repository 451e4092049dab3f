"""`snowshed doctor` asks the store that gateways share limits in, as they would ask it."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from loadtests.quotas.sentinel import running_sentinel, sentinel_url
from tests.support.command_line import snowshed
from tests.support.gateway import configuration
from tests.support.valkey import running_valkey

RIGHTS = "+evalsha +script|load +get +mget +set +del +pexpire +time +zadd +zcount +zrem +zremrangebyscore"
"""What the guide says that a user needs."""


def found(folder: Path, url: str) -> tuple[str, str]:
    """The line about limits: its level, and what it says."""
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(configuration(quotas={"store": {"env": "LIMITS_URL"}})))
    ended = snowshed("doctor", "--json", "--config", str(file), SNOWSHED_CACHE=str(folder), LIMITS_URL=url)
    (line,) = [one for one in json.loads(ended.stdout)["findings"] if one["subject"] == "limits"]
    assert ended.returncode == (line["level"] == "wrong")
    return line["level"], line["what"]


def test_a_store_that_answers_is_well_also_for_a_user_with_no_more_rights_than_needed(tmp_path: Path) -> None:
    with running_valkey("secret") as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "snow", "on", ">pw", "~snowshed:*", "-@all", *RIGHTS.split())  # type: ignore[no-untyped-call]
        assert found(tmp_path, server.url)[0] == "ok"
        assert found(tmp_path, f"redis://snow:pw@127.0.0.1:{server.port}")[0] == "ok"


def test_a_store_that_may_evict_limits_is_noted(tmp_path: Path) -> None:
    """Also the keys that end anyhow, which all of limits do."""
    with running_valkey() as server, server.client() as client:
        client.config_set("maxmemory-policy", "volatile-lru")
        assert found(tmp_path, server.url)[0] == "ok"  # there is no end to its memory
        client.config_set("maxmemory", "100mb")
        level, what = found(tmp_path, server.url)
        assert (level, "(volatile-lru)" in what) == ("note", True)
        client.config_set("maxmemory-policy", "noeviction")
        assert found(tmp_path, server.url)[0] == "ok"


def test_a_store_that_refuses_or_is_away_is_wrong_and_its_password_not_told(tmp_path: Path) -> None:
    with running_valkey("secret") as server:
        refused = found(tmp_path, f"redis://:canary-31cd@127.0.0.1:{server.port}")
    assert refused == ("wrong", "the store that gateways share can't be asked (AuthenticationError)")
    for scheme in ("redis", "redis+cluster"):
        level, what = found(tmp_path, f"{scheme}://:canary-31cd@127.0.0.1:{server.port}")
        assert (level, "canary" in what) == ("wrong", False)


def test_the_master_that_sentinels_name_is_asked(tmp_path: Path) -> None:
    options = ["sentinel auth-pass limits secret"]
    with running_valkey("secret") as server, running_sentinel(server.port, options) as sentinel:
        url = sentinel_url([sentinel.port], ":secret@")
        assert found(tmp_path, url)[0] == "ok"
        sentinel.freeze()
        level, what = found(tmp_path, url)
        assert (level, "(MasterNotFoundError)" in what) == ("wrong", True)

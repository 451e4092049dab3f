"""A wrong name is told the nearest right one, wherever it stands."""

from __future__ import annotations

from typing import Any

import pytest

from engines import ENGINES
from engines.text.tools import TOOL_PARSERS
from gateway.config import ConfigError, check

REPLICA = {"url": "http://127.0.0.1:1/v1"}
NO_SUCH = "there is no such setting"


def model(**members: Any) -> dict[str, Any]:
    return {"models": [{"name": "m", "engine": "openai", "replicas": [REPLICA], **members}]}


@pytest.mark.parametrize(
    ("tree", "path", "problem"),
    [
        ({"server": {"prot": 1}}, "server.prot", f"{NO_SUCH}; did you mean server.port?"),
        ({"port": 1}, "port", f"{NO_SUCH}; did you mean server.port or ops.port or admin.port?"),
        ({"server": {"body": 1}}, "server.body", f"{NO_SUCH}; did you mean limits.body or timeouts.body?"),
        ({"zzz": 1}, "zzz", NO_SUCH),
        ({"zzz\n\x1b": 1}, r"zzz\n\x1b", NO_SUCH),
        ({"z" * 1000: 1}, "z" * 128 + "…", NO_SUCH),
        (model(max_token=1), "models[0].max_token", f"{NO_SUCH}; did you mean models[0].max_tokens?"),
        (model(replicas=[{**REPLICA, "apikey": 1}]), "models[0].replicas[0].apikey",
         f"{NO_SUCH}; did you mean models[0].replicas[0].api_key?"),
        (model(replicas=[{**REPLICA, "api_key": {"evn": "X"}}]), "models[0].replicas[0].api_key.evn",
         f"{NO_SUCH}; did you mean models[0].replicas[0].api_key.env?"),
        (model(engine="opnai"), "models[0].engine", f"must be one of {', '.join(ENGINES)}; did you mean openai?"),
        (model(cap_field="max_token"), "models[0].cap_field",
         "must be one of max_tokens, max_completion_tokens; did you mean max_tokens?"),
        (model(engine="triton", replicas=[{"url": "127.0.0.1:1", "tools": "hermez"}]), "models[0].replicas[0].tools",
         f"must be one of {', '.join(TOOL_PARSERS)}; did you mean hermes?"),
        ({"server": {"port": 70_000}}, "server.port", "must be at most 65535"),
        ({"server": {"port": "x"}}, "server.port", "takes a whole number"),
        ({"server": {"open": 5}}, "server.open", "takes true or false"),
        ({"server": {"open": 1}}, "server.open", "takes true or false"),
        ({"server": {"open": 0.0}}, "server.open", "takes true or false"),
        ({"server": {"port": True}}, "server.port", "takes a whole number"),
        ({"limits": {"connections": False}}, "limits.connections", "takes a whole number"),
        ({"limits": {"body": True}}, "limits.body",
         "takes bytes, or a number with a unit: B, kB, KiB, MB, MiB, GB or GiB"),
        (model(max_tokens=True), "models[0].max_tokens", "takes a whole number"),
        (model(replicas=[{**REPLICA, "connections": True}]), "models[0].replicas[0].connections",
         "takes a whole number"),
        ({"timeouts": {"total": "25h"}}, "timeouts.total", "must be at most 24h"),
        ({"timeouts": {"total": 0}}, "timeouts.total", "must be more than 0"),
        ({"limits": {"body": "5B"}}, "limits.body", "must be at least 1KiB"),
        ({"timeouts": {"total": []}}, "timeouts.total", "takes a number"),
        (model(name=5), "models[0].name", "takes text; put quotes around a number, yes or no"),
        ({"ledger": {"prices": [{"model": "m", "input": "x", "output": 1}]}}, "ledger.prices[0].input",
         "takes a number"),
        ({"ledger": {"prices": [{"model": "m", "since": "soon", "input": 1, "output": 1}]}}, "ledger.prices[0].since",
         "takes a day, as in 2027-01-31"),
        ({"ledger": {"prices": [{"model": "m", "since": [], "input": 1, "output": 1}]}}, "ledger.prices[0].since",
         "takes a day, as in 2027-01-31"),
    ],
    ids=range(30),
)  # fmt: skip
def test_the_nearest_name_is_told(tree: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check({**model(), **tree}, "x")
    assert str(caught.value).splitlines()[1:] == [f"  {path}: {problem}"]


@pytest.mark.parametrize("key", [1, None, True, 2.5, b"x", ("a",)])
def test_names_that_are_no_text_are_a_mistake(key: Any) -> None:
    with pytest.raises(ConfigError, match=r"there is no such setting|names of settings are text"):
        check({**model(), key: 1}, "x")

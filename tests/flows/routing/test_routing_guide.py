"""The guide to routing: its figures, its commands, and what it says that callers see."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.recent import KEPT
from router import breaker, hedging, judging, outcomes, push_back
from router.health import PROBE_EVERY, PROBE_TIMEOUT
from router.policies import POLICIES, least_loaded, prefix_affinity, session_affinity
from tests.flows.keys.conftest import auth
from tests.support import plain
from tests.support.admin import admin_port
from tests.support.asking import body
from tests.support.command_line import environment, placed
from tests.support.databases import sqlite
from tests.support.gateway import ROOT, RunningGateway, configuration, metric, running_gateway
from tests.support.stored import KeyBook

PAGE = (ROOT / "docs/guides/routing.md").read_text()
WORDS = " ".join(PAGE.split())
STEERING = re.findall(r"^```sh\n(.*?)^```$", PAGE.partition("\n## Roll over")[0], re.MULTILINE | re.DOTALL)

FIGURES = (
    f"{breaker.STREAK} failures in a row; half of at least {breaker.ENOUGH} calls within {outcomes.SPAN} s;",
    (
        f"{judging.WAITING} calls or more without a sign of life for {judging.LEAST_SILENCE:g} s "
        f"(or {judging.SILENCE:g} times the usual wait"
    ),
    f"{judging.LEAST_SILENCE:g} s spent on connecting in vain;",
    f"over {breaker.VERY_SLOW:g} times slower than the others for {breaker.LASTING:g} s",
    (
        f"for {breaker.LASTING:g} s, first contents took over {breaker.SLOW:g} times what the others' take, and at "
        f"least {judging.MARGIN:g} s more | `closed` below {breaker.FINE:g} times"
    ),
    f"`probing` after {breaker.EJECTION:g} s, {2 * breaker.EJECTION:g} s, … {breaker.LONGEST:g} s",
    f"growing to all in {breaker.SLOW_START:g} s",
    f"{breaker.WARM_STREAK} failures in a row eject again",
    f"down to {push_back.LEAST:.0%}".replace("%", " %"),
    f"{push_back.QUIET:g} s of quiet, or its `retry-after` ({push_back.LONGEST:g} s at most)",
    f"every {PROBE_EVERY:g} s whether it would take a call, with {PROBE_TIMEOUT:g} s of patience",
    f"at most {hedging.SHARE:.0%}".replace("%", " %"),
    f"once {session_affinity.SLACK:,} tokens lie between",
    f"last {KEPT:,} requests",
)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_the_codes(figure: str) -> None:
    assert figure in WORDS


def test_figures_in_words_are_the_codes() -> None:
    assert (breaker.LEAST_START, breaker.FORGIVEN, breaker.JITTER) == (0.1, 60, 0.2)
    assert (session_affinity.TOLERATED, prefix_affinity.TOLERATED, least_loaded.ALL) == (2.0, 1.5, 8)
    assert session_affinity.SLACK == prefix_affinity.SLACK


def test_every_policy_and_state_has_a_row() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert {*POLICIES, "closed", "suspect", "ejected", "probing", "slow_start"} <= rows
    assert {"outage", "overload", "context_length"} <= rows


def model(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "engine": "scripted", **options}


@pytest.fixture
def book(tmp_path: Path) -> KeyBook:
    return KeyBook(sqlite(tmp_path))


@pytest.fixture
def gateway(book: KeyBook) -> Iterator[RunningGateway]:
    away = {"failure": "unreachable"}
    tree = configuration(
        models=[
            model("chat"), model("chat", version="2", weight=0), model("small"), model("away", replicas=[away]),
            model("busy", replicas=[{"failure": "overloaded"}]),
        ],
        routing=[
            {"model": "chat", "aliases": ["gpt-4o"]},
            {"model": "away", "fallback": {"models": ["small"]}},
            {"model": "busy", "fallback": {"models": ["away", "small"], "when": ["overload"]}},
        ],
        auth=auth(book.url),
        admin={"port": 0},
    )  # fmt: skip
    with running_gateway(tree) as running:
        yield running


@pytest.fixture
def keys(book: KeyBook) -> dict[str, str]:
    """By what they may."""
    book.tenant()
    scopes = {"call": ["inference"], "steer": ["inference", "routing"], "operate": ["operator"]}
    return {name: book.key(scopes=some).text for name, some in scopes.items()}


def asked(gateway: RunningGateway, key: str, wanted: str, **headers: str) -> httpx2.Response:
    with gateway.client() as client:
        authorized = {"authorization": f"Bearer {key}", **headers}
        return client.post("/v1/chat/completions", json=body(model=wanted), headers=authorized)


def test_pins_and_sessions_take_the_scope(gateway: RunningGateway, keys: dict[str, str]) -> None:
    refused = asked(gateway, keys["call"], "chat@2")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_permissions")
    assert asked(gateway, keys["steer"], "chat@2").headers["x-model-version"] == "chat@2"
    for key in keys["call"], keys["steer"]:
        assert asked(gateway, key, "gpt-4o", **{"x-session-id": "s1"}).headers["x-model-version"] == "chat@1"
    shown = plain.get(f"{gateway.ops_url}/metrics").text
    assert metric(shown, "snowshed_headers_ignored_total", header="x-session-id") == 1
    assert metric(shown, "snowshed_headers_ignored_total") == 1


def test_a_fall_back_is_announced_and_counted(gateway: RunningGateway, keys: dict[str, str]) -> None:
    answer = asked(gateway, keys["call"], "away")
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "small@1"
    assert answer.headers["x-gateway-degraded"] == "model=small;reason=outage"
    answer = asked(gateway, keys["call"], "busy")
    assert answer.headers["x-model-version"] == "small@1", "the first one of its list is away"
    assert answer.headers["x-gateway-degraded"] == "model=small;reason=overload"

    def counted() -> bool:
        shown = plain.get(f"{gateway.ops_url}/metrics").text
        labels = {"model": "away", "version": "small@1", "reason": "outage"}
        return metric(shown, "snowshed_fallbacks_total", **labels) == 1

    gateway.wait_until(counted)


def test_the_commands_that_steer(gateway: RunningGateway, keys: dict[str, str], tmp_path: Path) -> None:
    variables = environment(
        SNOWSHED_ADMIN_URL=f"http://127.0.0.1:{admin_port(gateway)}", SNOWSHED_ADMIN_KEY=keys["operate"]
    )
    variables["PATH"] = f"{placed(tmp_path).parent}:{variables['PATH']}"
    request = asked(gateway, keys["call"], "chat").headers["x-request-id"]
    inline = re.findall(r"`(snowshed (?:(?:eject|drain|restore|explain) [^`]+|replicas|events))`", WORDS)
    assert len(inline) >= 6
    lines = "".join(STEERING) + "\n".join(inline).replace("REQUEST_ID", request)
    gateway.wait_until(lambda: gateway.objects.edge.accounts.in_flight == 0)
    done = subprocess.run(
        ["bash", "-e"], input=lines, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, (lines, done.stderr)

"""Every worked example starts and answers as it stands, but for ports and places, which the environment says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtests.bench.processes import free_ports
from tests.support import plain
from tests.support.command_line import snowshed
from tests.support.fleet import spawn_fleet
from tests.support.gateway import ROOT, SpawnedGateway, _wait_ready
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.waiting import PATIENCE

EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.yaml"))


@contextmanager
def served(example: str, folder: Path, environment: Mapping[str, str]) -> Iterator[SpawnedGateway]:
    """The gateway with this file as it is, ready."""
    port, ops_port = free_ports(2)
    places = {
        "SNOWSHED_SERVER__PORT": str(port),
        "SNOWSHED_SERVER__DRAIN_DELAY": "0s",
        "SNOWSHED_OPS__PORT": str(ops_port),
        **environment,
    }
    log, errors = folder / "records.jsonl", folder / "errors.txt"
    with log.open("wb") as out, errors.open("wb") as err:
        child = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--config", f"examples/{example}"],
            stdout=out, stderr=err, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **places},
        )  # fmt: skip
    gateway = SpawnedGateway(child, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ops_port}", log, errors)
    try:
        _wait_ready(gateway)
        yield gateway
    finally:
        child.kill()
        child.wait()


@contextmanager
def places(example: str, folder: Path) -> Iterator[dict[str, str]]:
    """What stands in for the model servers of an example, as the environment says it."""
    replica = "SNOWSHED_MODELS__0__REPLICAS__{}__{}"
    if example == "embedded.yaml":
        yield {}
    elif example == "triton.yaml":
        tokenizer = write_tiny_tokenizer(folder / "tokenizer")
        with spawn_fleet(settings="tokens=3", contract="llmapi") as fleet:
            yield {
                "SNOWSHED_MODELS__0__UPSTREAM": "tensorrt_llm",
                replica.format(0, "URL"): fleet.targets[0],
                replica.format(0, "TOKENIZER"): str(tokenizer),
            }
    elif example == "production.yaml":
        with spawn_fleet(2, settings="tokens=3") as fleet:
            yield {
                "SNOWSHED_SERVER__HOST": "127.0.0.1",
                "SNOWSHED_OPS__HOST": "127.0.0.1",
                "SNOWSHED_AUTH__SQLITE": str(folder / "keys.db"),
                **{replica.format(at, "URL"): url for at, url in enumerate(fleet.urls)},
            }
    else:
        with spawn_fleet(2, settings="tokens=3") as fleet:
            yield {replica.format(at, "URL"): url for at, url in enumerate(fleet.urls)}


def a_key(example: str, environment: Mapping[str, str]) -> str:
    """Made as the example says."""
    file = ("--config", f"examples/{example}")
    made = snowshed("tenants", "create", "acme", *file, given=b"", **environment)
    assert made.returncode == 0, made.stderr
    made = snowshed("keys", "create", "acme", *file, given=b"", **environment)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_the_example_with_keys_serves_nobody_without_one(tmp_path: Path) -> None:
    example = "production.yaml"
    with places(example, tmp_path) as environment, served(example, tmp_path, environment) as gateway:
        assert plain.get(f"{gateway.url}/v1/models").status_code == 401


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_starts_and_answers(example: str, tmp_path: Path) -> None:
    with places(example, tmp_path) as environment, served(example, tmp_path, environment) as gateway:
        key = a_key(example, environment) if "SNOWSHED_AUTH__SQLITE" in environment else "none"
        headers = {"authorization": f"Bearer {key}"}
        with plain.client(base_url=gateway.url, headers=headers, timeout=PATIENCE) as client:
            [model] = client.get("/v1/models").json()["data"]
            said = {"model": model["id"], "max_tokens": 3, "messages": [{"role": "user", "content": "Hello"}]}
            for _ in range(2):
                answer = client.post("/v1/chat/completions", json=said)
                assert answer.status_code == 200, answer.text
                assert answer.json()["usage"]["completion_tokens"] == 3
        gateway.terminate()
        assert gateway.wait(PATIENCE) == 0, gateway.errors.read_text()


def test_the_example_of_failing_over_does(tmp_path: Path) -> None:
    example = "openai-failover.yaml"
    with spawn_fleet(2, settings="tokens=3") as fleet:
        environment = {f"SNOWSHED_MODELS__0__REPLICAS__{at}__URL": url for at, url in enumerate(fleet.urls)}
        with served(example, tmp_path, environment) as gateway, plain.client(timeout=PATIENCE) as client:
            fleet.replicas[0].listen("refused", drop=True)
            said = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}
            answers = [client.post(f"{gateway.url}/v1/chat/completions", json=said) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200] * 4
            assert len(fleet.replicas[1].calls()) == 4


def test_there_are_five_and_each_is_a_whole_story() -> None:
    assert len(EXAMPLES) == 5
    assert all((ROOT / "examples" / name).read_text().startswith("# ") for name in EXAMPLES)

"""`snowshed models` and `snowshed chat` against a running gateway, and what they say where there is none."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import complaint, environment, on_terminal, snowshed
from tests.support.gateway import ROOT, RunningGateway, configuration, running_gateway
from tests.support.waiting import PATIENCE

ANSWER = "The answer is always the same."


def scripted(name: str, **options: object) -> dict[str, object]:
    return {"name": name, "engine": "scripted", "replicas": [options]}


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    models = [
        scripted("mock"),
        scripted("slow", pause=30),
        scripted("breaking", failure="interrupted"),
        scripted("full", failure="overloaded"),
        scripted("steering", text="\x1b[31mred\x07"),
    ]
    with running_gateway(configuration(models=models)) as running:
        yield running


def test_models_are_listed(gateway: RunningGateway) -> None:
    ended = snowshed("models", "--url", gateway.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    head, *rows = ended.stdout.splitlines()
    assert head.split() == ["MODEL", "SINCE"]
    assert [row.split()[0] for row in rows] == ["mock", "slow", "breaking", "full", "steering"]
    assert rows[0].endswith("UTC")


def test_models_for_machines_are_openais_objects(gateway: RunningGateway) -> None:
    told = json.loads(snowshed("models", "--json", SNOWSHED_URL=gateway.url).stdout)
    assert (told[0]["id"], told[0]["object"]) == ("mock", "model")


def test_an_answer_is_printed_and_its_figures_only_if_asked_for(gateway: RunningGateway) -> None:
    quiet = snowshed("chat", "--url", f"{gateway.url}/v1/", "hello")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, f"{ANSWER}\n", "")
    verbose = snowshed("chat", "-v", "--url", gateway.url, "hello")
    assert (verbose.returncode, verbose.stdout) == (0, f"{ANSWER}\n")
    assert "mock: finished by stop; 4 tokens asked, 6 answered; first after" in verbose.stderr


def test_a_prompt_may_come_from_standard_input(gateway: RunningGateway) -> None:
    ended = snowshed("chat", "--json", "-", given="Grüße, tell me.\n".encode(), SNOWSHED_URL=gateway.url)
    told = json.loads(ended.stdout)
    assert (told["model"], told["content"], told["finish_reason"]) == ("mock", ANSWER, "stop")
    assert told["usage"]["completion_tokens"] == 6
    assert told["request_id"].startswith("req_")
    assert 0 < told["first_token_s"] <= told["total_s"]


def test_tokens_are_printed_as_they_come_and_an_interruption_cancels_the_generation(tmp_path: Path) -> None:
    tree = configuration(models=[scripted("mock", text=" ".join(["word"] * 1000), pause=0.05)])
    with running_gateway(tree) as gateway:
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", "gateway", "chat", "hello", "--url", gateway.url],
            cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert child.stdout is not None
            assert child.stdout.read(4) == b"word"  # long before the end
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=PATIENCE)
        finally:
            child.kill()
            child.wait()
        assert child.returncode == 130
        assert b"Traceback" not in errors
        gateway.wait_idle()


def test_a_reader_that_leaves_is_no_error_to_explain(gateway: RunningGateway) -> None:
    command = f"'{sys.executable}' -m gateway chat hello --url {gateway.url} | true"
    ended = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment(), capture_output=True, check=False)
    assert ended.stderr == b""


def test_an_answer_can_not_steer_the_terminal(gateway: RunningGateway) -> None:
    command = ("chat", "-m", "steering", "hello", "--url", gateway.url)
    assert on_terminal(*command) == "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}\r\n"
    assert snowshed(*command).stdout == "\x1b[31mred\x07\n"


@pytest.mark.parametrize(
    ("model", "words", "printed"),
    [
        ("absent", "(model_not_found) Those that are: snowshed models", ""),
        ("full", "(upstream_overloaded)", ""),
        ("breaking", "(upstream_interrupted)", "The"),
    ],
)
def test_a_failure_is_told_in_the_gateways_words(gateway: RunningGateway, model: str, words: str, printed: str) -> None:
    ended = snowshed("chat", "-m", model, "hello", "--url", gateway.url)
    assert ended.returncode == 1
    assert ended.stdout.startswith(printed)
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_where_nobody_answers_it_says_how_to_start_a_gateway() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can listen there either
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        for command in (["models"], ["chat", "hello"]):
            said = complaint(snowshed(*command, "--url", url), 1)
            assert said == f"No gateway answers at {url}: start one (snowshed serve), or say --url."


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "is no Snowshed"),
        (b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n["a"]', "broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "lists no models"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "no Snowshed: it says 404"),
        (b"SSH-2.0-OpenSSH_9\r\n", "broke off"),
        (b"", "broke off"),
    ],
)
def test_whatever_else_listens_there_is_told_apart(answer: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        said = complaint(snowshed("models", "--url", f"http://127.0.0.1:{server.getsockname()[1]}"), 1)
        thread.join(PATIENCE)
    assert words in said


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "127.0.0.1:8080", "http://", "http://host:99999", "http://me:key@host", "http://[::1", "http://a..b",
     f"http://{'a' * 70}", "http://host/ü"],
)  # fmt: skip
def test_an_address_that_is_none_is_a_mistake(url: str) -> None:
    said = complaint(snowshed("models", "--url", url), 2)
    assert said.startswith("--url takes an address like http://127.0.0.1:8080")
    assert "me:key" not in said


@pytest.mark.parametrize("given", [b"", b" \n", b"\xff\xfe"])
def test_standard_input_without_a_question_is_a_mistake(gateway: RunningGateway, given: bytes) -> None:
    assert "Standard input is" in complaint(snowshed("chat", "-", "--url", gateway.url, given=given), 2)

"""Expect: 100-continue: said once, when the body is wanted; never after a refusal, and never before its turn."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import RunningGateway
from tests.support.promises import Promises
from tests.support.talk import Talk, chat, request

EXPECT = b"Expect: 100-continue"
GOOD = request(chat())


def parts(*fields: bytes, body: bytes = GOOD.partition(b"\r\n\r\n")[2]) -> tuple[bytes, bytes]:
    head, end, rest = request(body, *fields).partition(b"\r\n\r\n")
    return head + end, rest


@pytest.mark.parametrize("field", [EXPECT, b"EXPECT: 100-Continue"])
def test_the_body_is_asked_for(talk: Talk, field: bytes) -> None:
    head, body = parts(field)
    talk.send(head).until_continue()
    assert talk.ask(body).status == 200
    assert talk.interim == [100]
    assert talk.ask(GOOD).status == 200


def test_a_body_that_is_there_needs_no_asking(talk: Talk, promises: Promises) -> None:
    assert talk.ask(b"".join(parts(EXPECT))).status == 200
    if promises.continue_is_spared:
        assert talk.interim == []
    assert talk.ask(GOOD).status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((b"X-Request-Timeout-Ms: never",), 400),
        ((b"Expect: 100-continue, 200-ok",), 417),
        ((b"Expect: a-miracle",), 417),
    ],
)
def test_a_refused_request_is_not_asked_for_its_body(
    talk: Talk, upstream: SpawnedReplica, fields: tuple[bytes, ...], status: int
) -> None:
    asks = () if any(field.startswith(b"Expect") for field in fields) else (EXPECT,)
    head, _ = parts(*asks, *fields)
    (answer,), end = talk.send(head).ending()
    assert (answer.status, answer.closes, talk.interim, end) == (status, True, [], "eof")
    assert answer.error["code"]
    assert upstream.calls() == []


def test_a_body_that_would_be_too_large_is_not_asked_for(talk: Talk) -> None:
    head, _ = parts(EXPECT)
    (answer,), end = talk.send(head.replace(b"Content-Length: ", b"Content-Length: 1000000")).ending()
    assert (answer.status, answer.closes, talk.interim, end) == (413, True, [], "eof")


def test_a_cold_request_is_answered_without_asking(talk: Talk) -> None:
    answers, _ = talk.send(request(b"", EXPECT, b"Connection: close", target=b"/absent")[:-2], b"\r\n").ending()
    assert ([answer.status for answer in answers], talk.interim) == ([404], [])


def test_http_1_0_does_not_know_it(talk: Talk, promises: Promises) -> None:
    head, body = request(chat(), EXPECT, version=b"HTTP/1.0").partition(b"\r\n\r\n")[::2]
    talk.send(head, b"\r\n\r\n", body)
    (answer,), _ = talk.ending()
    assert answer.status == 200
    if promises.continue_is_spared:
        assert talk.interim == []


def test_it_is_said_when_the_turn_has_come(talk: Talk) -> None:
    head, body = parts(EXPECT)
    talk.send(request(chat("@@service_ms=200@@")), head)
    assert talk.answer().status == 200
    talk.until_continue()
    assert talk.ask(body).status == 200


def test_curl_sends_a_large_body_without_delay(gateway: RunningGateway, tmp_path: Path) -> None:
    """curl waits a second for the 100 before it sends more than a megabyte."""
    curl = shutil.which("curl")
    if curl is None:
        return
    file = tmp_path / "body.json"
    file.write_bytes(chat("x " * 700_000))
    wanted = [
        curl,
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{time_total}",
        "--noproxy",
        "*",
        "--expect100-timeout",
        "20",
    ]
    wanted += [
        "-H",
        "content-type: application/json",
        "--data-binary",
        f"@{file}",
        f"{gateway.url}/v1/chat/completions",
    ]
    status, seconds = subprocess.run(wanted, capture_output=True, check=True, text=True).stdout.split()
    assert status == "200"
    assert float(seconds) < 20

"""A prompt that its model servers could never hold: it is refused as such, and drains no replica for nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.costs import PLAIN
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.talk import Answer, Talk, chat, request
from tests.support.waiting import wait_until

HOLDS = 1024
"""Tokens that the server says it holds at a time."""
SIZE = b"trtllm_num_requests_running 0\ntrtllm_kv_cache_max_blocks 32\ntrtllm_kv_cache_tokens_per_block 32\n"
DONE = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"mock","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"Yes."}}]}'
)


PARTS = [{"type": "text", "text": "x"}, *[{"type": "image_url", "image_url": {"url": "http://x/y"}}] * 20]
"""Each image is taken for a thousand tokens."""


class Serve(BaseHTTPRequestHandler):
    """`trtllm-serve` as far as it is asked here; it tells what it holds, or does not."""

    protocol_version = "HTTP/1.1"
    asked: list[int]

    def do_GET(self) -> None:
        known = self.path != "/prometheus/metrics" or self.server.tells  # type: ignore[attr-defined]
        self._answer(SIZE if known else b"trtllm_num_requests_running 0\n")

    def do_POST(self) -> None:
        self.asked.append(len(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(DONE)

    def _answer(self, page: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def serving(*, tells: bool) -> Iterator[tuple[str, list[int]]]:
    asked: list[int] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Serve,), {"asked": asked}))
    server.daemon_threads = True
    server.tells = tells  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def standing(*tell: bool) -> Iterator[tuple[RunningGateway, list[int]]]:
    """A gateway in front of one server or two."""
    (first,), rest = tell[:1], tell[1:]
    with serving(tells=first) as (url, asked), serving(tells=rest == (True,)) as (other, _):
        tree = configuration([url, other] if rest else [url])
        for replica in tree["models"][0]["replicas"]:
            replica["server"] = "trtllm-serve"
        with running_gateway(tree) as gateway:
            (version,) = gateway.objects.catalog.snapshot.models["mock"].versions.values()
            replicas = version.pool.replicas
            wait_until(lambda: all(replica.said is not None and replica.verdict == "" for replica in replicas))
            wait_until(lambda: [replica.said.kv_tokens == HOLDS for replica in replicas if replica.said] == list(tell))
            yield gateway, asked


def asks(gateway: RunningGateway, letters: int) -> Answer:
    with Talk(gateway.url) as talk:
        return talk.ask(request(chat("x" * letters)))


def test_a_prompt_beyond_what_its_servers_hold_is_refused_with_both_numbers() -> None:
    with standing(True) as (gateway, asked):
        answer = asks(gateway, 12 * HOLDS)
        assert (answer.status, answer.error["code"], answer.error["type"]) == (
            400, "context_length_exceeded", "invalid_request_error",
        )  # fmt: skip
        assert answer.error["param"] == "messages"
        assert f" {HOLDS} tokens" in answer.error["message"]
        assert "retry-after" not in answer.headers
        assert asked == []
        assert asks(gateway, 10).status == 200


def test_what_only_an_estimate_says_is_too_large_is_asked() -> None:
    """Four letters to a token is a guess, of which some prompts have twice as many."""
    with standing(True) as (gateway, asked):
        assert asks(gateway, 6 * HOLDS).status == 200
        assert len(asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        chat("x", user="x" * 12 * HOLDS),
        json.dumps({"model": "mock", "messages": [{"role": "user", "content": PARTS}]}).encode(),
        json.dumps({"model": "mock", "messages": [{"role": "user", "content": "щука " * HOLDS}]}).encode(),
        json.dumps(
            {"model": "mock", "messages": [{"role": "user", "content": "தமிழ் " * HOLDS}]}, ensure_ascii=False
        ).encode(),
    ],
    ids=["it is no part of the prompt", "images", "escaped", "a script of several bytes to a letter"],
)
def test_what_may_be_smaller_than_it_looks_is_asked(body: bytes) -> None:
    with standing(True) as (gateway, asked), Talk(gateway.url) as talk:
        assert talk.ask(request(body)).status == 200
        assert len(asked) == 1


def test_what_others_prompts_had_many_tokens_for_is_asked() -> None:
    """Figures, say, with a token to each: what is learned of them says nothing of a text of the same size."""
    with standing(True) as (gateway, asked):
        (version,) = gateway.objects.catalog.snapshot.models["mock"].versions.values()
        for _ in range(100):
            version.admission.costs.learn([replace(PLAIN, prompt=6 * HOLDS, body=6 * HOLDS)])
        assert asks(gateway, 6 * HOLDS).status == 200
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("prompt", "status"), [("x" * 12 * HOLDS, 400), (["x" * 3 * HOLDS] * 4, 200)], ids=["one", "many"]
)
def test_of_several_prompts_each_is_held_by_itself(prompt: object, status: int) -> None:
    with standing(True) as (gateway, _), Talk(gateway.url) as talk:
        body = json.dumps({"model": "mock", "prompt": prompt}).encode()
        answer = talk.ask(request(body, target=b"/v1/completions"))
        assert answer.status == status
        assert status == 200 or answer.error["param"] == "prompt"


@pytest.mark.parametrize("tell", [(False,), (True, False)], ids=["none", "one of two"])
def test_who_does_not_tell_may_hold_anything(tell: tuple[bool, ...]) -> None:
    with standing(*tell) as (gateway, _):
        assert asks(gateway, 12 * HOLDS).status == 200

"""Seeded nonsense over raw sockets: the server lives, answers in HTTP, and passes no rubbish on."""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import RunningGateway
from tests.support.promises import Promises
from tests.support.talk import Talk, chat, chunked, chunked_head, request

GOOD = [
    request(chat()),
    request(chat(stream=True), b"X-Request-Id: a", b"X-Request-Timeout-Ms: 1000"),
    request(chat(), b"Expect: 100-continue"),
    request(chat(), b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
    request(chat(), b"Connection: close", version=b"HTTP/1.0"),
    chunked_head(b"Trailer: X") + chunked(chat()[:20], chat()[20:]),
    request(b'{"model": "mock", "input": "x"}', target=b"/v1/embeddings"),
    request(None, method=b"GET", target=b"http://localhost/v1/models?a=b"),
    request(chat()) + request(None, method=b"GET", target=b"/v1/models") + request(chat(stream=True)),
]
TOKENS = [
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b";", b",", b"\xff", b"\r\n\r\n", b"0\r\n\r\n", b"ffffffff\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Host: x\r\n", b"Expect: 100-continue\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n", b"Connection: close\r\n", b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1",
    b"%00", b"%", b"x" * 300, b'"', b"{", b"]", b"-1",
]  # fmt: skip
ROUNDS, AT_ONCE = 8, 250
SEEDS = [1]


def mutated(dice: random.Random) -> bytes:
    data = bytearray(dice.choice(GOOD))
    for _ in range(dice.randint(1, 4)):
        at, to = sorted(dice.randrange(len(data) + 1) for _ in range(2))
        match dice.randrange(6):
            case 0:
                data[at:at] = dice.choice(TOKENS)
            case 1:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 2:
                del data[at : at + dice.randint(1, 8)]
            case 3:
                data[at:at] = data[at:to][:200]
            case 4:
                del data[to:]
            case _:
                data[at:at] = dice.choice(GOOD)[: dice.randrange(100)]
        if not data:
            data += b"\r\n"
    return bytes(data)


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_requests(hasty: RunningGateway, upstream: SpawnedReplica, promises: Promises, seed: int) -> None:
    """250 connections at a time, some in pieces; every one ends by itself where heads are timed."""
    dice = random.Random(seed)
    answered = 0
    for _ in range(ROUNDS):
        with ExitStack() as stack:
            talks = [stack.enter_context(Talk(hasty.url)) for _ in range(AT_ONCE)]
            for talk in talks:
                data = mutated(dice)
                cut = dice.choice([0, dice.randrange(len(data))])
                talk.send(data[:cut]).send(data[cut:])
            for talk in talks:
                answers, end = talk.ending(15 if promises.heads_are_timed else 0.01)
                answered += len(answers)
                assert end != "open" or not promises.heads_are_timed, (seed, talk)
                assert all(100 < answer.status < 600 for answer in answers if answer.status)
    assert answered > ROUNDS * AT_ONCE / 4
    hasty.wait_idle()
    with Talk(hasty.url) as talk:
        assert talk.ask(GOOD[0]).status == 200
    for call in upstream.calls():
        assert call.path in {"/v1/chat/completions", "/v1/embeddings"}
        assert call.body["model"] == "mock"

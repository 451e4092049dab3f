"""What callers do to a gateway under load, as Locust's users: chats that stream, and chats answered at once.

`make loadtest` runs it. The gateway is at SNOWSHED_URL or `--host`, on this machine unless `--anywhere` says that
another one is meant; SNOWSHED_API_KEY is sent if it is set. Users and options have to be registered when Locust loads
this file: it is a script of Locust's, and nothing of ours imports it.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec
from locust import FastHttpUser, between, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, FastHttpSession, ResponseContextManager
from locust.env import Environment
from locust.event import EventHook

HERE = "http://127.0.0.1:8080"
PATH = "/v1/chat/completions"
QUESTION = "What is a snow shed, and what is it good for?"


class Delta(msgspec.Struct):
    """What an event adds to an answer."""

    content: str | None = None
    reasoning_content: str | None = None


class Choice(msgspec.Struct):
    """One of the answers that a stream carries."""

    delta: Delta


class Failure(msgspec.Struct):
    """What went wrong in the middle of a stream."""

    message: str
    code: str | None = None


class Event(msgspec.Struct):
    """A stream's event, as far as it matters here."""

    choices: list[Choice] = []
    error: Failure | None = None

    @property
    def says(self) -> bool:
        """Whether it brings content: one that only names the role is no token."""
        return any(choice.delta.content or choice.delta.reasoning_content for choice in self.choices)


class Refusal(msgspec.Struct):
    """The body of an answer that is none."""

    error: Failure


class Answer(msgspec.Struct):
    """A whole answer, as far as it matters here."""

    choices: list[Any]


class Models(msgspec.Struct):
    """What the gateway serves."""

    data: list[dict[str, Any]]


class Broken(Exception):
    """What is wrong with an answer that looked good at first."""


@dataclass(slots=True)
class Heard:
    """When content came (seconds of `time.perf_counter`), and in how many events."""

    first: float = 0.0
    last: float = 0.0
    events: int = 0

    def note(self, now: float) -> None:
        if not self.events:
            self.first = now
        self.last = now
        self.events += 1


def hear(lines: Iterator[bytes]) -> Heard:
    """A stream to its end. Raises Broken if it says too little, or that something went wrong."""
    heard, decoder = Heard(), msgspec.json.Decoder(Event)
    for line in lines:
        if not line.startswith(b"data:"):  # a blank one, or a comment that keeps the connection alive
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            if not heard.events:
                raise Broken("a stream without content")
            return heard
        try:
            event = decoder.decode(data)
        except msgspec.DecodeError:
            raise Broken("an event that is none of OpenAI's") from None
        if event.error:
            raise Broken(f"an error event: {event.error.code}: {event.error.message}")
        if event.says:
            heard.note(time.perf_counter())
    raise Broken("a stream without [DONE]")


def refused(response: ResponseContextManager) -> None:
    """Count a failure under the server's own words; without any, Locust counts it under the status."""
    with suppress(msgspec.DecodeError, *FAILURE_EXCEPTIONS):
        why = msgspec.json.decode(response.content or b"", type=Refusal).error
        response.failure(f"{response.status_code} {why.code}: {why.message}")  # type: ignore[no-untyped-call]


class Caller(FastHttpUser):
    """Asks, reads, thinks for a second or so, and asks again."""

    abstract = True
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.headers = {"accept-encoding": "identity"}
        if key := os.environ.get("SNOWSHED_API_KEY"):
            self.headers["authorization"] = f"Bearer {key}"

    def post(self, name: str, *, stream: bool) -> ResponseContextManager:
        options = self.environment.parsed_options
        assert options
        body = {
            "model": options.model,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": options.max_tokens,
            "stream": stream,
        }
        return self.client.post(PATH, json=body, name=name, headers=self.headers, stream=stream, catch_response=True)


class StreamingCaller(Caller):
    """Reads a stream event by event, and reports three times: TTFT, the mean time between events, and the whole."""

    weight = 3

    @task
    def chat(self) -> None:
        asked = time.perf_counter()
        with self.post("chat, streamed", stream=True) as response:
            if response.status_code != HTTPStatus.OK:
                refused(response)
                return
            try:
                # Not iter_lines() of Locust's: it waits for the next kilobyte.
                heard = hear(iter(lambda: response.stream.readline(b"\n"), b""))
                response.stream.read()  # what ends the body, so that the connection can be used again
            except (Broken, *FAILURE_EXCEPTIONS) as error:
                response.failure(error)
                return
            response.request_meta["response_time"] = 1000 * (time.perf_counter() - asked)
            self._report("TTFT", heard.first - asked)
            if heard.events > 1:
                self._report("ITL", (heard.last - heard.first) / (heard.events - 1))

    def _report(self, kind: str, seconds: float) -> None:
        self.environment.events.request.fire(
            request_type=kind,
            name="chat, streamed",
            response_time=1000 * seconds,
            response_length=0,
            exception=None,
            context=self.context(),
        )


class UnaryCaller(Caller):
    """Waits for the whole answer."""

    weight = 1

    @task
    def chat(self) -> None:
        with self.post("chat, unary", stream=False) as response:
            if response.status_code != HTTPStatus.OK:
                refused(response)
                return
            try:
                answer = msgspec.json.decode(response.content or b"", type=Answer)
            except msgspec.DecodeError:
                response.failure("an answer that is none of OpenAI's")
                return
            if not answer.choices:
                response.failure("an answer without choices")


def add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--model", default="", help="model to ask; the first that the gateway lists unless given")
    parser.add_argument("--max-tokens", type=int, default=64, help="cap of each answer")
    parser.add_argument("--anywhere", action="store_true", help="load a gateway on another machine than this one")


def find_gateway(environment: Environment, **_: Any) -> None:
    """Settle whom to load and which model to ask for. Raises SystemExit with the reason why that can't be."""
    options = environment.parsed_options
    assert options
    host = (environment.host or os.environ.get("SNOWSHED_URL") or HERE).rstrip("/")
    if not options.anywhere and not on_this_machine(host):
        raise SystemExit(f"loadtest: {host} is not on this machine; --anywhere says that it is meant.")
    environment.host = host
    options.model = options.model or first_model(host)


def on_this_machine(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def first_model(host: str) -> str:
    key = os.environ.get("SNOWSHED_API_KEY")
    uncounted = EventHook()  # type: ignore[no-untyped-call]  # Locust's own lacks the types
    session = FastHttpSession(host, uncounted, None)
    response = session.get("/v1/models", headers={"authorization": f"Bearer {key}"} if key else None)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        wanted = "doesn't take the key in" if key else "wants a key: set"
        raise SystemExit(f"loadtest: the gateway at {host} {wanted} SNOWSHED_API_KEY.")
    if response.status_code != HTTPStatus.OK:  # 0 if there was no answer
        raise SystemExit(f"loadtest: no gateway at {host}: {response.status_code or getattr(response, 'error', '')}.")
    models = msgspec.json.decode(response.content or b"", type=Models).data
    if not models:
        raise SystemExit(f"loadtest: the gateway at {host} lists no model; --model names one.")
    return str(models[0]["id"])


events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]
events.init.add_listener(find_gateway)  # type: ignore[no-untyped-call]

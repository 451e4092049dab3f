"""A raw HTTP client that reads answers strictly: bytes out as given, responses in as a parser sees them."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import httptools

from tests.support.raw import End, receive
from tests.support.waiting import PATIENCE

CHAT = b"/v1/chat/completions"


def chat(words: str = "Say something.", **members: object) -> bytes:
    """The body of a chat; directives for the simulated upstream may stand in `words`."""
    return json.dumps({"model": "mock", "messages": [{"role": "user", "content": words}], **members}).encode()


def request(
    body: bytes | None = None,
    *fields: bytes,
    method: bytes = b"POST",
    target: bytes = CHAT,
    version: bytes = b"HTTP/1.1",
    host: bytes | None = b"localhost",
) -> bytes:
    """A request with its framing; without a body there is no content type either."""
    lines = [b"%b %b %b" % (method, target, version)]
    if host is not None:
        lines.append(b"Host: " + host)
    if body is not None:
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, *fields, b"", body or b""])


def chunked(*parts: bytes) -> bytes:
    """A body in chunks, its end included."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def chunked_head(*fields: bytes, target: bytes = CHAT) -> bytes:
    return request(None, b"Content-Type: application/json", b"Transfer-Encoding: chunked", *fields, target=target)


@dataclass(slots=True)
class Answer:
    """One response; `whole` once its end was seen. Header names are in lower case."""

    status: int = 0
    version: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.fields)

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's envelope; `AssertionError` if there is none, or no request id beside it."""
        assert self.headers["content-type"] == "application/json", self
        assert self.headers["x-request-id"], self
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class _Reader:
    """Parses what a server sends; raises httptools.HttpParserError on what is not HTTP."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.answers: list[Answer] = []
        self.interim: list[int] = []

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.answers.append(Answer())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answers[-1].fields.append((name.decode().lower(), value.decode()))

    def on_headers_complete(self) -> None:
        self.answers[-1].status = self._parser.get_status_code()
        self.answers[-1].version = self._parser.get_http_version()

    def on_body(self, data: bytes) -> None:
        self.answers[-1].body += data

    def on_message_complete(self) -> None:
        if self.answers[-1].status < 200:
            self.interim.append(self.answers.pop().status)
        else:
            self.answers[-1].whole = True


class Talk:
    """One connection to the gateway at `url`."""

    def __init__(self, url: str, sock: socket.socket | None = None) -> None:
        where = urlsplit(url)
        self.socket = sock or socket.create_connection((where.hostname, where.port), timeout=PATIENCE)
        self._reader = _Reader()
        self._taken = 0

    def __repr__(self) -> str:
        return f"<Talk {self._reader.answers!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def interim(self) -> list[int]:
        """Statuses below 200 so far."""
        return self._reader.interim

    def send(self, *data: bytes) -> Self:
        """Send; a server that closed meanwhile is noticed by reading."""
        self.socket.settimeout(PATIENCE)
        with suppress(OSError):
            self.socket.sendall(b"".join(data))
        return self

    def answer(self, seconds: float = PATIENCE) -> Answer:
        """The next whole answer; `AssertionError` if it does not come."""
        self._taken += 1
        end = time.monotonic() + seconds
        while len(self._whole()) < self._taken:
            how = self._step(end)
            assert how is None, f"{how} with {self!r}"
        return self._reader.answers[self._taken - 1]

    def ask(self, *data: bytes) -> Answer:
        """Send, and the next answer."""
        return self.send(*data).answer()

    def ending(self, seconds: float = PATIENCE) -> tuple[list[Answer], End]:
        """All further answers (the last one maybe cut), and how the server ended the connection."""
        end = time.monotonic() + seconds
        while (how := self._step(end)) is None:
            pass
        rest, self._taken = self._reader.answers[self._taken :], len(self._reader.answers)
        return rest, how

    def until(self, words: bytes, seconds: float = PATIENCE) -> None:
        """Until the answer that is coming contains these bytes."""
        end = time.monotonic() + seconds
        while not self._reader.answers or words not in self._reader.answers[-1].body:
            how = self._step(end)
            assert how is None, f"{how} with {self!r}"

    def until_continue(self, seconds: float = PATIENCE) -> None:
        """Until a 100 has come."""
        end = time.monotonic() + seconds
        while not self.interim:
            how = self._step(end)
            assert how is None, f"{how} with {self!r}"
            assert len(self._whole()) <= self._taken, repr(self)

    def _whole(self) -> list[Answer]:
        return [answer for answer in self._reader.answers if answer.whole]

    def _step(self, end: float) -> End | None:
        data = receive(self.socket, end)
        if isinstance(data, str):
            return data
        self._reader.feed(data)
        return None
